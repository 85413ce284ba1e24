"""Finding faults in a workspace's sources before any of it is pushed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from mcp_convex.domain.models import FileEntry, FilePath
from mcp_convex.domain.pushes import Diagnostic

ReadFile = Callable[[FilePath], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class QueriedIndex:
    """An index that a file asks for by name."""

    table: str | None
    """None where the code leaves open which."""
    name: str
    file: FilePath


class SourceChecks(ABC):
    """Reads sources, runs nothing, and asks nobody."""

    @abstractmethod
    async def check(
        self,
        files: Sequence[FileEntry],
        read: ReadFile,
        *,
        clients: Collection[FilePath] | None = None,
        env_vars: Collection[str] | None = None,
    ) -> tuple[Diagnostic, ...]:
        """
        Return what is wrong with a workspace, errors first, then by file and line.

        An `error` is said only of what a push or a run must fail at.

        Args:
            files: All that the workspace holds.
            read: Gives a file's content; asked only for content that was not seen before.
            clients: Of the files that use the functions from outside their folder, those to look at; None for all.
            env_vars: The names that the deployment has set; None where that is not known.
        """

    @abstractmethod
    async def queried_indexes(self, files: Sequence[FileEntry], read: ReadFile) -> frozenset[QueriedIndex]:
        """Return the indexes that the functions ask for by name."""

    @abstractmethod
    async def origins(self, files: Sequence[FileEntry], read: ReadFile) -> Mapping[str, str]:
        """
        Return digests of what the modules of functions are made of, by their paths as they are pushed.

        One of which that cannot be told, or not of exactly *files*, is left out. What stands beside a module, and
        where the bundler puts what they share, makes no difference.
        """
