"""Which env vars a workspace's deployment had when it was last asked, for code that does not ask it again."""

from __future__ import annotations

from collections.abc import Iterable

from mcp_convex.domain.models import Target
from mcp_convex.services.targets import TargetService


class KnownEnvVars:
    def __init__(self, targets: TargetService) -> None:
        self._targets = targets
        self._learnt: tuple[str, frozenset[str]] | None = None

    def learn(self, target: Target, names: Iterable[str]) -> None:
        """Remember that *target* has set *names*, and no others."""
        self._learnt = _key(target), frozenset(names)

    async def names(self) -> frozenset[str]:
        """Return the names that the workspace's deployment was known to have; there may be more by now."""
        if self._learnt is None:
            return frozenset()
        key, names = self._learnt
        return names if key == _key(await self._targets.linked()) else frozenset()


def _key(target: Target | None) -> str:
    return target.url if target is not None and target.kind != "embedded" else "embedded"
