"""`mcp-convex demo`: a client over real stdio does the main job in front of the reader."""

from mcp_convex.demo.play import play

__all__ = ["play"]
