"""Which files of a workspace tools may read and write."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath

from pydantic import JsonValue, TypeAdapter, ValidationError

from mcp_convex.domain.errors import InvalidArguments, PathRefused, TooLarge
from mcp_convex.domain.models import FilePath

LONGEST_PATH = 400
"""Bytes, in UTF-8."""
LONGEST_NAME = 200
"""Bytes of one part of a path; file systems take 255, and a temporary name needs a few more."""
LARGEST_FILE = 1024 * 1024
"""Bytes. Source code is far below that; what is larger belongs into file storage."""

FUNCTIONS_FOLDER = "convex/"
"""Where a project keeps its functions unless its convex.json says otherwise."""

_FOREIGN_FOLDERS = frozenset({"node_modules", "_generated"})
_LOCKS = frozenset(
    {"package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb", "deno.lock"}
)
_RESERVED_ON_WINDOWS = frozenset('<>:"|?*')
_OBJECT = TypeAdapter(dict[str, JsonValue])


def approve(path: str) -> FilePath:
    """
    Return *path*, from the workspace's root, in its one normal form.

    A tool may touch a project's ordinary sources: `convex/**`, `package.json`, `convex.json`,
    `tsconfig.json`, the app's own files. Not these, each of which would let a text that an agent
    wrote decide what runs on this machine, or show it a secret:

    * hidden files and folders: `.env*` holds keys, `.git`, `.vscode`, `.github` and `.husky` hold
      commands that other programs run, `.npmrc` names the registry;
    * `node_modules`, the code that the CLI itself runs;
    * lock files, which name where packages are fetched from; npm writes them;
    * `_generated`, which the CLI writes.

    Raises:
        PathRefused: It leads out of the workspace, is one of those, or no portable name.
    """
    normal = unicodedata.normalize("NFC", path)
    if not normal or normal.startswith("/") or normal[1:2] == ":":
        raise _refused(path, "is not a path from the workspace's root", "Pass a path such as `convex/messages.ts`.")
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} or char in _RESERVED_ON_WINDOWS for char in normal):
        raise _refused(path, "holds a character that not every system allows in a name", "Choose a plainer name.")
    if "\\" in normal:
        raise _refused(path, "holds a backslash", "Put `/` between folders.")
    if len(normal.encode()) > LONGEST_PATH:
        raise _refused(path, f"is longer than {LONGEST_PATH} bytes", "Choose a shorter name.")
    parts = normal.split("/")
    for part in parts:
        _check_part(path, part)
    if parts[-1].casefold() in _LOCKS:
        raise _refused(path, "is a lock file", "Change package.json; the lock follows by itself.")
    return FilePath(normal)


def is_approved(path: str) -> bool:
    """Say whether tools may see *path*, and by this name."""
    try:
        return approve(path) == path
    except PathRefused:
        return False


def _check_part(path: str, part: str) -> None:
    if part in {"", ".", ".."}:
        raise _refused(path, f"holds the part `{part}`", "Pass the plain path from the workspace's root.")
    if part.startswith("."):
        raise _refused(path, "is hidden, and tools may not touch hidden files", "Ask the person to change it.")
    if part.casefold() in _FOREIGN_FOLDERS:
        raise _refused(path, f"lies in `{part}`, which tools may not touch", "Write your own sources beside it.")
    if part != part.strip() or part.endswith("."):
        raise _refused(path, "holds a part that begins or ends with a space or a dot", "Choose a plainer name.")
    if len(part.encode()) > LONGEST_NAME:
        raise _refused(path, f"holds a name longer than {LONGEST_NAME} bytes", "Choose a shorter name.")


def check_collisions(written: Iterable[FilePath], existing: Collection[FilePath] = ()) -> None:
    """
    Make sure that the *written* files can stand beside one another and the *existing* ones on every system.

    Raises:
        PathRefused: Two names differ only in case or in how Unicode spells them, or one is a folder of the other.
    """
    names: dict[str, str] = {_same_name(path): path for path in existing}
    folders: dict[str, str] = {_same_name(folder): folder for path in existing for folder in _folders(path)}
    for path in written:
        for folder in _folders(path):
            _check_free(folder, folders)
            if (taken := names.get(_same_name(folder))) is not None:
                raise _refused(path, f"needs a folder where the file `{taken}` is", "Delete that file first.")
            folders[_same_name(folder)] = folder
        _check_free(path, names)
        if (taken := folders.get(_same_name(path))) is not None:
            raise _refused(path, f"is where the folder `{taken}` is", "Choose another name.")
        names[_same_name(path)] = path


def _check_free(path: str, names: Mapping[str, str]) -> None:
    taken = names.get(_same_name(path), path)
    if taken != path:
        raise _refused(path, f"and `{taken}` are one name on many systems", f"Write `{taken}`, or choose another name.")


def check_content(path: FilePath, data: bytes) -> None:
    """
    Make sure that *data* may be the content of the file *path*.

    Raises:
        TooLarge: It exceeds the bound.
        InvalidArguments: It is a convex.json, and not a JSON object.
        PathRefused: It is a convex.json that points out of the workspace.
    """
    if len(data) > LARGEST_FILE:
        raise TooLarge(
            f"`{path}` would have {len(data)} bytes; a file may have {LARGEST_FILE}.",
            next_step="Split the file, or keep the data in a table.",
        )
    if path == "convex.json":
        check_convex_json(data.decode(errors="replace"))


def check_convex_json(text: str) -> dict[str, JsonValue]:
    """
    Return the settings in *text*, a convex.json, if they keep the CLI inside the workspace.

    Raises:
        InvalidArguments: It is not a JSON object.
        PathRefused: `functions` leads out of the workspace, or to where tools may not write.
    """
    try:
        settings = _OBJECT.validate_json(text)
    except ValidationError:
        raise InvalidArguments("`convex.json` is not a JSON object.", next_step="Write one, such as `{}`.") from None
    functions_folder(settings)
    return settings


def functions_folder(settings: Mapping[str, JsonValue]) -> FilePath:
    """
    Return the folder that holds the functions under *settings*, those of convex.json.

    Raises:
        PathRefused: It leads out of the workspace, or to where tools may not write.
    """
    functions = settings.get("functions", FUNCTIONS_FOLDER)
    if not isinstance(functions, str):
        raise _refused(
            str(functions), "is not a folder, as `functions` in convex.json has to be", "Leave `functions` out."
        )
    return approve(functions.removeprefix("./").rstrip("/"))


def _folders(path: str) -> Iterable[str]:
    return (str(folder) for folder in PurePosixPath(path).parents if folder.name)


def _same_name(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", path).casefold())


def _refused(path: str, why: str, next_step: str) -> PathRefused:
    shown = ascii(path)[1:-1] if not path.isprintable() else path
    return PathRefused(f"`{shown[:LONGEST_PATH]}` {why}.", next_step=next_step)
