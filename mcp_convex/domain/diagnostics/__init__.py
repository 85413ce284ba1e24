"""From what the CLI printed or the deployment answered to diagnostics that an agent can act on. Pure functions."""

from mcp_convex.domain.diagnostics.hints import hint_for
from mcp_convex.domain.diagnostics.next_steps import EMPTY, GIVE_UP, STUBBORN, next_step
from mcp_convex.domain.diagnostics.output import parse_output
from mcp_convex.domain.diagnostics.schema import from_schema_failure
from mcp_convex.domain.diagnostics.server import from_server

__all__ = [
    "EMPTY",
    "GIVE_UP",
    "STUBBORN",
    "from_schema_failure",
    "from_server",
    "hint_for",
    "next_step",
    "parse_output",
]
