"""What commands read in place of settings of a workspace that would lead them out of it, online, or to a dead end."""

from __future__ import annotations

import json
import re
from posixpath import basename

from pydantic import JsonValue

from mcp_convex.domain import paths

_CONVEX_JSON = "convex.json"
_KEPT = ("functions", "node", "codegen", "bundler", "generateCommonJSApi", "typescriptCompiler")
"""Left out: `authKit`, which sets up an account elsewhere, and what the CLI only knows from long ago."""
_TSCONFIG = re.compile(r"tsconfig[\w.-]*\.json")
_PROGRESS = re.compile(rb'("tsBuildInfoFile"\s*:\s*)"[^"\n]*"')
"""Where a compiler keeps what it has done: often below node_modules, where commands may not write (TS5033)."""


def is_replaced(path: str) -> bool:
    """Say whether commands read something else than the file *path* holds."""
    return path == _CONVEX_JSON or _TSCONFIG.fullmatch(basename(path)) is not None


def replaced(path: str, data: bytes) -> bytes:
    """
    Return what commands read where the file *path*, which `is_replaced`, holds *data*.

    Raises:
        InvalidArguments: It is a convex.json that is no JSON object.
        PathRefused: It is a convex.json whose `functions` leads out of the workspace.
    """
    if path != _CONVEX_JSON:
        return _PROGRESS.sub(rb'\1"./.tsbuildinfo"', data)
    settings = paths.check_convex_json(data.decode(errors="replace"))
    kept: dict[str, JsonValue] = {key: settings[key] for key in _KEPT if key in settings}
    return json.dumps(kept | {"aiFiles": {"enabled": False}}).encode()
