"""Tables and files as a zip, and back; and single tables from JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from anyio import to_thread

from mcp_convex.embedded import durable
from mcp_convex.embedded.deployment import Deployment
from mcp_convex.embedded.refusals import bad_request
from mcp_convex.embedded.wire import fields, items

Document = dict[str, Any]
Table = tuple[str, str]
"""A component's path, and a table's name."""

_PAGE = 1000
_DOCUMENTS = "documents.jsonl"
_FILES = "_storage"
_MODES = ("requireEmpty", "append", "replace", "replaceAll")
_FORMATS = ("csv", "jsonLines", "jsonArray", "zip")


@dataclass(frozen=True, slots=True)
class ImportTerms:
    """What the caller wants of an import."""

    format: str
    mode: str
    table: Table | None

    @classmethod
    def of(cls, sent: Any) -> ImportTerms:
        """
        Return the terms in a request.

        Raises:
            Refusal: They are not understood.
        """
        wanted = fields(sent)
        format_, mode, table = wanted.get("format"), wanted.get("mode"), wanted.get("tableName")
        if format_ not in _FORMATS or mode not in _MODES or (table is None) != (format_ == "zip"):
            raise bad_request("InvalidImport", "The import has no known format and mode, or names no table.")
        return cls(format_, mode, (wanted.get("componentPath") or "", table) if table else None)


@dataclass(frozen=True, slots=True)
class ImportFile:
    """What an uploaded file holds, and what is to be done with it."""

    path: Path
    mode: str
    documents: dict[Table, list[Document]]
    existing: dict[Table, int]
    files: dict[Table, list[Document]] = field(default_factory=dict[Table, list[Document]])

    @property
    def replaces(self) -> bool:
        """Whether something that is stored now would go."""
        return self.mode in ("replace", "replaceAll") and any(self.existing.values())

    @property
    def summary(self) -> str:
        """What will be written, a line a table."""
        lines = [
            f"{_shown(table)}: {len(documents)} documents to add, {self.existing.get(table, 0)} there now"
            for table, documents in sorted(self.documents.items())
        ]
        lines += [f"{_shown(table)}: {len(stored)} files to add" for table, stored in sorted(self.files.items())]
        return "Import:\n" + "\n".join(lines) + f"\nMode: {self.mode}"


class Snapshots:
    """Reads and writes all that a deployment stores."""

    def __init__(self, deployment: Deployment, engine_folder: Path) -> None:
        self._deployment = deployment
        self._engine_folder = engine_folder

    async def write(self, path: Path, *, with_files: bool) -> None:
        """Write everything that is stored to a zip at *path*."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for component in await self._components():
                await self._write_component(archive, component, with_files=with_files)

    async def read(self, path: Path, terms: ImportTerms) -> ImportFile:
        """
        Return what the file at *path* holds.

        Raises:
            Refusal: It is not of the format that *terms* name, or a table that should be empty is not.
        """
        files: dict[Table, list[Document]] = {}
        try:
            if terms.table:
                documents = {terms.table: await to_thread.run_sync(_read_table, path, terms.format)}
            else:
                documents, files = await to_thread.run_sync(_read_zip, path)
        except (ValueError, csv.Error, zipfile.BadZipFile) as exc:
            raise bad_request("InvalidImport", f"The file is not valid {terms.format}: {exc}") from exc
        existing = await self._counts({component for component, _ in documents} | {""})
        if terms.mode == "requireEmpty" and (full := [table for table in documents if existing.get(table)]):
            raise bad_request(
                "TableNotEmpty",
                f"Cannot import into {_shown(full[0])}, which holds documents already. "
                "Choose another table name, or use `--replace` or `--append`.",
            )
        return ImportFile(path, terms.mode, documents, existing, files)

    async def perform(self, file: ImportFile) -> int:
        """
        Write what *file* holds, a transaction a table, and return how many documents and files that were.

        Raises:
            EngineRefused: Documents do not fit the schema. Tables that come later in the alphabet are not written.
        """
        if file.mode == "replaceAll":
            for component, table in file.existing.keys() - file.documents.keys():
                await self._system("clear", component=component, table=table)
        operation = "replace" if file.mode in ("replace", "replaceAll") else "insert"
        for (component, table), documents in sorted(file.documents.items()):
            await self._system(operation, component=component, table=table, documents=documents)
        for (component, _), stored in file.files.items():
            await self._restore_files(file.path, component, stored)
        return sum(map(len, (*file.documents.values(), *file.files.values())))

    async def _write_component(self, archive: zipfile.ZipFile, component: str, *, with_files: bool) -> None:
        prefix = "".join(f"_components/{part}/" for part in component.split("/") if part)
        for table in (await self._system("tables", component=component))["tables"]:
            pages = self._pages("documents", "page", component=component, table=table["name"], order="asc")
            lines = [json.dumps(document) async for page in pages for document in page]
            name, content = f"{prefix}{table['name']}/{_DOCUMENTS}", "".join(f"{line}\n" for line in lines)
            await to_thread.run_sync(archive.writestr, name, content)
        if not with_files:
            return
        stored = [file async for page in self._pages("files", "files", component=component) for file in page]
        for file in stored:
            name = f"{prefix}{_FILES}/{file['_id']}"
            await to_thread.run_sync(archive.write, self._engine_folder / file["path"], name)
        described = [{name: value for name, value in file.items() if name not in ("path", "url")} for file in stored]
        archive.writestr(f"{prefix}{_FILES}/{_DOCUMENTS}", "".join(f"{json.dumps(file)}\n" for file in described))

    async def _restore_files(self, archive: Path, component: str, stored: list[Document]) -> None:
        incoming = durable.make_folder(self._engine_folder / "data" / "incoming")
        prefix = "".join(f"_components/{part}/" for part in component.split("/") if part)
        for file in stored:
            path = incoming / PurePosixPath(file["_id"]).name
            await to_thread.run_sync(_extract, archive, f"{prefix}{_FILES}/{file['_id']}", path)
            await self._deployment.call(
                "file.put",
                path=str(path.relative_to(self._engine_folder)),
                contentType=file.get("contentType"),
                component=component,
                storageId=file["_id"],
                creationTime=file.get("_creationTime"),
            )

    async def _components(self) -> Iterable[str]:
        return self._deployment.live.components if self._deployment.live else [""]

    async def _counts(self, components: Iterable[str]) -> dict[Table, int]:
        return {
            (component, table["name"]): table["count"]
            for component in components
            for table in (await self._system("tables", component=component))["tables"]
        }

    async def _pages(self, name: str, items: str, **args: Any) -> AsyncIterator[list[Document]]:
        cursor, done = None, False
        while not done:
            page = await self._system(name, cursor=cursor, limit=_PAGE, **args)
            cursor, done = page["continueCursor"], page["isDone"]
            yield page[items]

    async def _system(self, name: str, **args: Any) -> Any:
        return await self._deployment.call("system", name=name, args=args)


def _json_lines(content: str) -> Iterator[Document]:
    return (_document(json.loads(line)) for line in content.splitlines() if line.strip())


def _json_array(content: str) -> Iterator[Document]:
    parsed = json.loads(content)
    if not isinstance(parsed, list):
        raise ValueError("it is no array")  # noqa: TRY004  # the caller's word for any file that is wrong
    return map(_document, items(parsed))


def _csv(content: str) -> Iterator[Document]:
    return (
        {name: _cell(text) for name, text in row.items() if name is not None}
        for row in csv.DictReader(io.StringIO(content))
    )


def _read_table(path: Path, format_: str) -> list[Document]:
    return list(_PARSERS[format_](path.read_text("utf-8")))


_PARSERS = {"jsonLines": _json_lines, "jsonArray": _json_array, "csv": _csv}


def _document(value: Any) -> Document:
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no object")  # noqa: TRY004  # see `_json_array`
    return fields(value)


def _cell(text: str | None) -> Any:
    try:
        return float(text or "")
    except ValueError:
        return text or ""


def _read_zip(path: Path) -> tuple[dict[Table, list[Document]], dict[Table, list[Document]]]:
    documents: dict[Table, list[Document]] = {}
    files: dict[Table, list[Document]] = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            *parents, table, file = ["", *name.split("/")]
            component = "/".join(part for part in parents if part not in ("", "_components"))
            if file == _DOCUMENTS and (table == _FILES or not table.startswith("_")):
                found = list(_json_lines(archive.read(name).decode()))
                (files if table == _FILES else documents)[component, table] = found
    return documents, files


def _extract(archive: Path, name: str, to: Path) -> None:
    with zipfile.ZipFile(archive) as opened, opened.open(name) as source, to.open("wb") as target:
        shutil.copyfileobj(source, target)


def _shown(table: Table) -> str:
    component, name = table
    return f"table `{name}`" + (f" of component `{component}`" if component else "")
