"""Everything the operator can set. The only package that reads the environment."""

from mcp_convex.settings.loading import Knob, describe, load
from mcp_convex.settings.model import Settings

__all__ = ["Knob", "Settings", "describe", "load"]
