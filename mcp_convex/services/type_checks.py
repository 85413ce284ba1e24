"""What the compiler beside a push has said, as the gate and the answer need it."""

from __future__ import annotations

from mcp_convex.domain.ports import Ended, TypeCheck

_NO_INPUTS = "error TS18003"
"""A project without a module: nothing is wrong with its types."""
_SIGNALLED = 128


class Types:
    """The types of one push."""

    def __init__(self, check: TypeCheck) -> None:
        self._check = check
        self.complaint = ""
        """What the CLI prints where it runs the compiler itself; nothing where the types fit."""

    async def fit(self) -> bool:
        """Say whether the types fit. Where nothing can tell they count as fitting, as for Convex's own CLI."""
        ended = await self._check.ended()
        if ended is None or _is_green(ended):
            return True
        self.complaint = _complaint(ended)
        return False


def _is_green(ended: Ended) -> bool:
    return ended.exit_code == 0 or ended.output.startswith(_NO_INPUTS)


def _complaint(ended: Ended) -> str:
    if ended.exit_code is None:
        return ""  # the push was over before it
    if ended.exit_code > _SIGNALLED:
        return "\n✖ TypeScript typecheck timed out.\n"
    return f"\n✖ TypeScript typecheck via `tsc` failed.\n{ended.output}"
