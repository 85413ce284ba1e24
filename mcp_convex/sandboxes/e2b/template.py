"""The template that sandboxes are made from."""

from __future__ import annotations

NAME = "mcp-convex:1.48.0"
"""Its name at E2B, with the version of the convex package in it."""
