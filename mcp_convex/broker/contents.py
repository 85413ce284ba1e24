"""What modules are, wherever they were bundled: a deployment's hash of one also covers paths and generated code."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, model_validator

from mcp_convex.broker.wire import Module


class Content(BaseModel):
    """What a module is, told in two ways: either alone shows that it is what it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    """A digest of its code, with that of the chunks which it imports."""
    origin: str | None = None
    """A digest of the sources that it is made of, where all of them are known."""

    @model_validator(mode="before")
    @classmethod
    def _of_either(cls, data: Any) -> Any:
        """Read what earlier versions remembered: one digest, and not of which of the two."""
        return {"code": data, "origin": data} if isinstance(data, str) else data

    def is_same(self, other: Content) -> bool:
        """Say whether both are one, wherever and beside whatever they were bundled."""
        return self.code == other.code or (self.origin is not None and self.origin == other.origin)


Contents = Mapping[str, Content]
"""What modules are, by the hash under which a deployment has them."""

# esbuild names each file that it bundles, in a line of its own or as a key, as seen from the project; packages may
# lie elsewhere in another isolation mode. Source maps, after which chunks are called, differ with generated code.
# The second alternative is bounded, so that no code takes long to read.
_PLACE = re.compile(
    r"^//(?: \S+\.[cm]?[jt]sx?|# sourceMappingURL=\S+)$"
    r'|(?<!\.\./)(?:\.\./)++(?:[^\s"/]{1,255}/){0,20}?(?=node_modules/)',
    re.MULTILINE,
)
_SIBLING = re.compile(r'"(\.\.?/[^"\n]+)"')


def contents_of(modules: Iterable[Module], others: Mapping[str, str]) -> dict[str, str]:
    """
    Return a digest of what each of *modules* is, by its path: its own code, and the shared chunks that it imports.

    Args:
        others: The digests of the modules that are not pushed again, by path.
    """
    return _Reading(modules, others).all()


class _Reading:
    def __init__(self, modules: Iterable[Module], others: Mapping[str, str]) -> None:
        self._sources = {module.path: module.source for module in modules}
        self._known = dict(others)

    def all(self) -> dict[str, str]:
        return {path: self._content(path, ()) for path in self._sources}

    def _content(self, path: str, above: tuple[str, ...]) -> str:
        if path in self._sources and path not in self._known and path not in above:

            def sibling(found: re.Match[str]) -> str:
                imported = normpath(join(dirname(path), found[1]))
                return f'"{self._content(imported, (*above, path))}"'

            code = _SIBLING.sub(sibling, _PLACE.sub("", self._sources[path]))
            self._known[path] = hashlib.sha256(code.encode()).hexdigest()
        return self._known.get(path, path)


class ContentsMemory:
    """What the live modules of the deployment at *url* are. Without a *folder* to keep it in, nobody knows."""

    def __init__(self, folder: Path | None, url: str) -> None:
        self._file = folder and folder / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json"

    def recall(self) -> Contents:
        """Return what is known; a module that is not among it counts as changed."""
        with suppress(OSError, ValueError):
            return _CONTENTS.validate_json(self._file.read_bytes()) if self._file else {}
        return {}

    def keep(self, contents: Contents) -> None:
        """Remember *contents* in place of what was known."""
        if self._file is None:
            return
        with suppress(OSError):  # the push is over, and needs none of this
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part = self._file.with_suffix(f".{secrets.token_hex(4)}")
            part.write_bytes(_CONTENTS.dump_json(contents))
            part.replace(self._file)


_CONTENTS = TypeAdapter(Contents)
