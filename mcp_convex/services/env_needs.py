"""Which env vars the app's configuration asks for, read from its source: nothing is run and nothing is pushed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_convex.domain.env_vars import EnvVar
from mcp_convex.domain.errors import InputError
from mcp_convex.domain.models import FilePath
from mcp_convex.domain.ports import Sandbox
from mcp_convex.services.project_files import functions_folder_of, text_of

_ENDINGS = ("ts", "js")
_COMMENT_OR_STRING = re.compile(
    r"//[^\n]*|/\*.*?\*/|(\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)", re.DOTALL
)
_READ = re.compile(r"\bprocess\.env(?:\.([A-Za-z_]\w*)|\[\s*[\"']([A-Za-z_]\w*)[\"']\s*\])")
_APP = re.compile(r"\bdefineApp\s*\(")
_ENV = re.compile(r"\benv\s*:\s*\{")
_DECLARED = re.compile(r"\s*[\"']?([A-Za-z_]\w*)[\"']?\s*:\s*(.*)", re.DOTALL)
_OPTIONAL = re.compile(r"\w+\s*\.\s*optional\s*\(")
_STRUCTURE = re.compile(r"[()\[\]{},]")
_OPENING, _CLOSING = "([{", ")]}"


async def needed_env_vars(sandbox: Sandbox) -> tuple[EnvVar, ...]:
    """Return what the workspace's convex.config declares, and what its auth.config reads."""
    folder = await _folder(sandbox)
    auth, read = await _source(sandbox, folder, "auth.config")
    app, declares = await _source(sandbox, folder, "convex.config")
    needed = {name: EnvVar(name=name, is_set=False, needed_by=auth) for name in _read(read)}
    for name, optional in _declared(declares):
        if name not in needed or not optional:
            needed[name] = EnvVar(name=name, is_set=False, needed_by=app, optional=optional)
    return tuple(needed.values())


async def _folder(sandbox: Sandbox) -> FilePath:
    try:
        return await functions_folder_of(sandbox)
    except InputError:
        return FilePath("convex")  # a push will say what is wrong with it


async def _source(sandbox: Sandbox, folder: FilePath, name: str) -> tuple[FilePath, str]:
    for ending in _ENDINGS:
        path = FilePath(f"{folder}/{name}.{ending}")
        if text := await text_of(sandbox, path):
            return path, _bare(text)
    return folder, ""


def _bare(source: str) -> str:
    """Return *source* without comments, and without what in its strings looks like structure."""
    return _COMMENT_OR_STRING.sub(lambda found: _STRUCTURE.sub(" ", found[1] or " "), source)


def _read(source: str) -> Iterator[str]:
    """Yield what *source* reads of `process.env`."""
    for found in _READ.finditer(source):
        yield found[1] or found[2]


def _declared(source: str) -> Iterator[tuple[str, bool]]:
    """Yield the names in `defineApp({ env: { … } })`, each with whether it is optional."""
    app = _APP.search(source)
    options = "".join(_parts(source[app.end() :])) if app else ""
    env = _ENV.search(options)
    for part in _parts(options[env.end() :]) if env else ():
        if declared := _DECLARED.fullmatch(part):
            yield declared[1], _OPTIONAL.match(declared[2]) is not None


def _parts(text: str) -> Iterator[str]:
    """Yield what stands between the commas of *text*, up to the bracket that closes what began before it."""
    depth = start = 0
    for at, char in enumerate(text):
        if char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth -= 1
        if depth < 0:
            yield text[start:at]
            return
        if char == "," and depth == 0:
            yield text[start:at]
            start = at + 1
