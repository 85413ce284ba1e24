"""
Whether a push carries files from outside the project: the CLI bundles whatever an import names, JSON and text too.

Measured with the CLI of 1.48 and its esbuild 0.27. Three traces of a bundled file remain:

* Modules are not stripped of white space, so esbuild heads each file's part with `// path`, from the project's root.
  That is the surest trace: it also stands above an import `with { type: "bytes" }`, of which the source map is silent.
* `sources` of the source map, relative to `out/<module>`; a package's own source map may name files that do not exist.
* Definitions (`convex.config.ts`) are stripped, so there only `sources` tell, relative to the definition's folder,
  and a file that was imported as bytes shows as a call of `fromBase64`.

Constants and enums that esbuild inlines leave no trace; against those, only the sandbox's isolation helps.

A package that the project links to, as in a monorepo, is told by the folder that it really stands in. Its sources may
be pushed, its hidden files, such as `.env`, may not.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from pydantic import ValidationError

from mcp_convex.broker.wire import Module, PushRequest, SourceMap
from mcp_convex.domain.ports import PushTerms
from mcp_convex.domain.pushes import Diagnostic

_HEADER = re.compile(r"^(?://|/\*) (?=\S)", re.MULTILINE)
_FARAWAY_HEADER = re.compile(
    r"^(?://|/\*) (?P<path>(?:[\w-]+:)?(?:\.\./|/|[A-Za-z]:[\\/])[^\n]*?)(?: \*/)?$", re.MULTILINE
)
_NAMESPACE = re.compile(r"^[\w-]{2,}:(?=/|\.\./|[A-Za-z]:[\\/])")
_MOST = 20
"""How many strays are named."""
_EMBEDDED = "Uint8Array.fromBase64("


@dataclass(frozen=True, slots=True)
class _Project:
    """Where the files of a project may stand, as the CLI sees it."""

    root: PurePosixPath | None
    linked: tuple[PurePosixPath, ...] = ()

    def lacks(self, path: str) -> bool:
        """Say whether *path*, from the project's root or absolute, is neither in the project nor in a package."""
        place = posixpath.normpath(_NAMESPACE.sub("", path).replace("\\", "/"))
        if "node_modules" in place.split("/"):
            return False
        if self.root is None or re.match(r"[A-Za-z]:/", place):
            return place == ".." or re.match(r"\.\./|/|[A-Za-z]:/", place) is not None
        real = PurePosixPath(posixpath.normpath(self.root / place))
        return not real.is_relative_to(self.root) and not any(_shows(package, real) for package in self.linked)


def strays(request: PushRequest, terms: PushTerms) -> tuple[Diagnostic, ...]:
    """Return what in *request* does not come from the project that the *terms* tell of."""
    if _Project(terms.root).lacks(request.functions):
        return (_diagnostic(None, request.functions, "The functions folder in `convex.json`"),)
    found = islice(dict.fromkeys(_found(request, _Project(terms.root, terms.linked))), _MOST)
    return tuple(_diagnostic(file, path, f"`{file}`" if file else "A module") for file, path in found)


def _found(request: PushRequest, project: _Project) -> Iterator[tuple[str | None, str]]:
    """Yield each file that is outside, with the module that it came with."""
    app = request.app_definition
    for module in filter(None, (app.auth, app.schema_, *app.changed_modules)):
        yield from _in_module(module, request.functions, project)
    if app.definition:
        yield from _in_definition(app.definition, request.functions, project)
    for component in request.component_definitions:
        folder = posixpath.join(request.functions, component.definition_path)
        yield from _in_definition(component.definition, folder, project)
        for module in filter(None, (component.schema_, *component.functions)):
            yield from _in_module(module, folder, project)


def _in_module(module: Module, folder: str, project: _Project) -> Iterator[tuple[str | None, str]]:
    if _HEADER.search(module.source):
        paths = [match["path"] for match in _FARAWAY_HEADER.finditer(module.source)]
    else:
        paths = _sources(module, posixpath.join("out", posixpath.dirname(module.path)))
    file = None if module.path.startswith("_deps/") else _file(folder, module)
    yield from ((file, path) for path in paths if project.lacks(path))


def _in_definition(module: Module, folder: str, project: _Project) -> Iterator[tuple[str | None, str]]:
    file = _file(folder, module)
    yield from ((file, path) for path in _sources(module, folder) if project.lacks(path))
    if _EMBEDDED in module.source:
        yield file, "a file as bytes"


def _sources(module: Module, folder: str) -> list[str]:
    """Return the files that the source map names, from the project's root."""
    try:
        names = SourceMap.model_validate_json(module.source_map or "{}").sources
    except ValidationError:
        return []
    return [name if _NAMESPACE.match(name) else posixpath.normpath(posixpath.join(folder, name)) for name in names]


def _shows(package: PurePosixPath, real: PurePosixPath) -> bool:
    """Say whether *real* is a file of *package* that is not hidden."""
    return real.is_relative_to(package) and not any(part.startswith(".") for part in real.relative_to(package).parts)


def _file(folder: str, module: Module) -> str:
    return posixpath.normpath(posixpath.join(folder, module.path)).removesuffix(".js") + ".ts"


def _diagnostic(file: str | None, path: str, who: str) -> Diagnostic:
    return Diagnostic(
        file=file,
        code="outside_import",
        message=f"{who} brings in `{_NAMESPACE.sub('', path)}`, which is outside the project.",
        hint="Copy what the functions need into the project and import it from there.",
        source="check",
    )
