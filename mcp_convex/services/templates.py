"""Templates: parts of an app, written into the workspace in one call and never over a file that is there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

from pydantic import JsonValue, TypeAdapter, ValidationError

from mcp_convex.domain import paths
from mcp_convex.domain.errors import InvalidArguments, NotFound
from mcp_convex.domain.models import FileEntry, FilePath
from mcp_convex.services.files import Change, FileService, Written

TemplateName = Literal[
    "ai_action",
    "chat",
    "clerk",
    "convex_auth",
    "crons",
    "file_upload",
    "paginated_feed",
    "presence",
    "tasks",
    "webhooks",
]
NAMES: tuple[TemplateName, ...] = get_args(TemplateName)

_PACKAGE_JSON = FilePath("package.json")
_CONVEX_JSON = FilePath("convex.json")
_OBJECT = TypeAdapter(dict[str, JsonValue])
_INDENT = re.compile(r'^([ \t]+)"', re.MULTILINE)
_NAMES_OF_PACKAGES = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    name: str
    title: str
    purpose: str
    steps: str
    """What is to be done once the files are written."""
    files: Mapping[str, str]
    """By path below the functions' folder."""
    package_json: str | None
    """A whole one, where the template needs packages beside `convex`."""


class TemplateService:
    def __init__(self, folder: Path, files: FileService) -> None:
        """Serve the templates in *folder*, one folder each, to the workspace of *files*."""
        self._folder = folder
        self._files = files

    def get(self, name: str) -> Template:
        """
        Return a template.

        Raises:
            NotFound: There is none of that name.
        """
        if name not in NAMES:
            raise NotFound(f"There is no template `{name}`.", next_step=f"Choose one of these: {', '.join(NAMES)}.")
        folder = self._folder / name
        title, purpose, steps = (folder / "README.md").read_text(encoding="utf-8").split("\n\n", 2)
        sources = folder / "convex"
        package_json = folder / _PACKAGE_JSON
        return Template(
            name=name,
            title=title.removeprefix("# "),
            purpose=purpose,
            steps=steps.strip(),
            files={
                file.relative_to(sources).as_posix(): file.read_text(encoding="utf-8")
                for file in sorted(sources.rglob("*.ts"))
            },
            package_json=package_json.read_text(encoding="utf-8") if package_json.exists() else None,
        )

    async def write(
        self, name: TemplateName | None, changes: Sequence[Change], base: Mapping[str, str] | None = None
    ) -> Written:
        """
        Apply *changes* and, if one is named, write the files of a template that *changes* do not name.

        Raises:
            InvalidArguments: There is nothing to write, or a file stands where the template has another.
            ConvexMcpError: What `FileService.write` raises.
        """
        if name is None and not changes:
            raise InvalidArguments("There is nothing to write.", next_step="Give `changes`, a `template`, or both.")
        if name is None:
            return await self._files.write(changes, base)
        template = self.get(name)
        there = {entry.path: entry for entry in await self._files.list()}
        own = {paths.approve(change.path) for change in changes}
        sources = {path: text for path, text in (await self._placed(template, there)).items() if path not in own}
        _check_free(template, sources, there)
        files = sources | ({} if _PACKAGE_JSON in own else await self._packages(template, there))
        unchanged_since: dict[str, str] = {path: there[path].sha256 if path in there else "" for path in files}
        joined = [*changes, *(Change(path=path, content=text) for path, text in files.items())]
        written = await self._files.write(joined, {**unchanged_since, **(base or {})})
        return written.model_copy(update={"next_step": template.steps})

    async def _placed(self, template: Template, there: Mapping[FilePath, FileEntry]) -> dict[FilePath, str]:
        settings = paths.check_convex_json(await self._files.text(_CONVEX_JSON)) if _CONVEX_JSON in there else {}
        folder = paths.functions_folder(settings)
        return {FilePath(f"{folder}/{path}"): text for path, text in template.files.items()}

    async def _packages(self, template: Template, there: Mapping[FilePath, FileEntry]) -> dict[FilePath, str]:
        if template.package_json is None:
            return {}
        if _PACKAGE_JSON not in there:
            return {_PACKAGE_JSON: template.package_json}
        return {_PACKAGE_JSON: _with_packages(await self._files.text(_PACKAGE_JSON), template.package_json)}


def _check_free(template: Template, files: Mapping[FilePath, str], there: Mapping[FilePath, FileEntry]) -> None:
    taken = [path for path, text in files.items() if path in there and there[path].sha256 != _digest(text)]
    if taken:
        shown = "\n".join(f"```ts {path}\n{files[path]}```" for path in taken)
        raise InvalidArguments(
            f"{', '.join(f'`{path}`' for path in taken)} stands there with other content. Nothing was written. "
            f"The template `{template.name}` has:\n{shown}",
            next_step="Join it with the file that is there, and call again with the `template` and the joined file in "
            "`changes`.",
        )


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _with_packages(text: str, template: str) -> str:
    """Return the package.json *text* with the dependencies of *template* that it does not name anywhere."""
    try:
        manifest = _OBJECT.validate_json(text)
        present = {name for kind in _NAMES_OF_PACKAGES for name in _packages_of(manifest, kind)}
        wanted = _packages_of(_OBJECT.validate_json(template), "dependencies")
        missing = {name: version for name, version in wanted.items() if name not in present}
        if not missing:
            return text
        dependencies = _packages_of(manifest, "dependencies") | missing
    except ValidationError:
        raise InvalidArguments(
            "`package.json` is not valid JSON, so the template's packages cannot be added.",
            next_step="Correct it with `write_files`, then call again.",
        ) from None
    indent = found[1] if (found := _INDENT.search(text)) else "  "
    manifest |= {"dependencies": dict(sorted(dependencies.items()))}
    return json.dumps(manifest, indent=indent, ensure_ascii=False) + "\n"


def _packages_of(manifest: Mapping[str, JsonValue], kind: str) -> dict[str, JsonValue]:
    return _OBJECT.validate_python(manifest.get(kind, {}))
