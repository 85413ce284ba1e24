"""What our program in a box answers. The box is hostile: nothing of this is believed beyond its shape."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, Base64Bytes, BaseModel, ConfigDict, Field

from mcp_convex.domain.models import FilePath
from mcp_convex.domain.paths import LONGEST_PATH


def _plain(path: str) -> FilePath:
    is_plain = (
        str(PurePosixPath(path)) == path
        and path.isprintable()
        and not path.startswith("/")
        and not {"..", "node_modules"} & set(path.split("/"))
        and len(path.encode()) <= LONGEST_PATH
    )
    if not is_plain:
        raise ValueError("is no path of the workspace")
    return FilePath(path)


_Path = Annotated[str, AfterValidator(_plain)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Said(_Answer):
    """One line of what our program says before its answer, or the answer."""

    out: str | None = None
    """What a command has written."""
    open: int | None = None
    """The number of a connection that a command has opened."""
    data: tuple[int, Base64Bytes] | None = None
    """What it has sent over a connection."""
    end: int | None = None
    """The connection over which it sends no more."""
    gone: int | None = None
    """The connection that it has closed."""
    answer: dict[str, Any] | None = None


class Differences(_Answer):
    """What files of the box differ from what was known of them."""

    changed: dict[_Path, Base64Bytes] = Field(default_factory=dict)
    missing: tuple[_Path, ...] = ()

    def changes(self) -> dict[FilePath, bytes | None]:
        """Return what the box holds; None for what it holds no more."""
        found: dict[FilePath, bytes | None] = {FilePath(path): data for path, data in self.changed.items()}
        return found | dict.fromkeys(map(FilePath, self.missing))


class Looked(Differences):
    version: str | None = None
    """Which version of the host's copy the box says that it mirrors."""


class Packages(_Answer):
    due: bool = True
    """Whether they have to be installed."""
    convex: str | None = None
    """Its version."""
    cli: str | None = None
    """Where its CLI is in `node_modules`."""
    compiler: bool = False


class Prepared(Looked):
    packages: Packages


class Installed(_Answer):
    code: int | None
    output: str


class CommandEnded(Differences):
    code: int
    spoiled: bool = False
    """It had waited, and did not run: what it had read while it loaded was not there any more."""
