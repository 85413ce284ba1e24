"""The gate: the only way from a sandboxed CLI to a deployment, and the judge of what came of a push."""

from mcp_convex.broker.gate import LocalGate
from mcp_convex.broker.tuning import Tuning

__all__ = ["LocalGate", "Tuning"]
