"""What of a workspace's convex.json reaches the CLI: settings that neither lead out of the workspace nor go online."""

from __future__ import annotations

import json

from pydantic import JsonValue

from mcp_convex.domain import paths

_KEPT = ("functions", "node", "codegen", "bundler", "generateCommonJSApi", "typescriptCompiler")
"""Left out: `authKit`, which sets up an account elsewhere, and what the CLI only knows from long ago."""


def staged(text: str) -> str:
    """
    Return the convex.json that the CLI reads in place of *text*.

    Raises:
        InvalidArguments: It is no JSON object.
        PathRefused: `functions` leads out of the workspace.
    """
    settings = paths.check_convex_json(text)
    kept: dict[str, JsonValue] = {key: settings[key] for key in _KEPT if key in settings}
    return json.dumps(kept | {"aiFiles": {"enabled": False}})
