"""Where pushed modules are kept, by their hash, so that a push sends only what has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from mcp_convex.embedded import durable
from mcp_convex.embedded.refusals import bad_request

Module = dict[str, Any]
"""As the CLI sends it: path, source, sourceMap, environment."""


class ModuleStore:
    """Sources and source maps, each pair named by the SHA-256 that the CLI computes over both."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, module: Module) -> str:
        """Keep a module, and return its hash in hex."""
        source, source_map = module["source"].encode(), (module.get("sourceMap") or "").encode()
        sha256 = hashlib.sha256(source + source_map).hexdigest()
        file = durable.make_folder(self._folder) / f"{sha256}.js"
        if not file.exists():
            file.with_suffix(".map").write_bytes(source_map)
            # By renaming, so that a file that is there is whole.
            file.with_suffix(".part").write_bytes(source)
            file.with_suffix(".part").replace(file)
        return sha256

    def get(self, path: str, environment: str, sha256: str) -> Module:
        """
        Return a module that an earlier push brought.

        Raises:
            Refusal: None did.
        """
        file = self._folder / f"{sha256}.js"
        if not sha256.isalnum() or not file.exists():
            raise bad_request(
                "ModuleNotFound", f"Module {path} is said to be unchanged, and was never pushed. Push again."
            )
        source, source_map = file.read_text(), file.with_suffix(".map").read_text()
        return {"path": path, "source": source, "sourceMap": source_map or None, "environment": environment}

    def prune(self, used: Collection[str]) -> None:
        """Remove every module whose hash is not among *used*."""
        for file in self._folder.glob("*.*"):
            if file.stem not in used:
                file.unlink(missing_ok=True)
