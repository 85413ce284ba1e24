"""Files of the workspace that this server reads for itself, and what they say of the project."""

from __future__ import annotations

from mcp_convex.domain.errors import NotFound
from mcp_convex.domain.models import FilePath
from mcp_convex.domain.paths import check_convex_json, functions_folder
from mcp_convex.domain.ports import Sandbox

CONVEX_JSON = FilePath("convex.json")


async def text_of(sandbox: Sandbox, path: FilePath) -> str | None:
    """Return the text of the file *path*, with marks for what is not UTF-8; None where there is no such file."""
    try:
        return (await sandbox.read(path)).decode(errors="replace")
    except NotFound:
        return None


async def functions_folder_of(sandbox: Sandbox) -> FilePath:
    """
    Return the folder that holds the workspace's functions.

    Raises:
        InvalidArguments: Its convex.json is not a JSON object.
        PathRefused: Its convex.json names a folder where tools may not write.
    """
    settings = await text_of(sandbox, CONVEX_JSON)
    return functions_folder({} if settings is None else check_convex_json(settings))
