"""What was said between a model and the server, a line of JSON each, without any secret."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class Transcript:
    def __init__(self, file: Path, secrets: Iterable[str]) -> None:
        self._file = file
        # As they stand in JSON, the longest first: one may be a part of another.
        self._secrets = sorted({json.dumps(secret)[1:-1] for secret in secrets if secret}, key=len, reverse=True)
        file.parent.mkdir(parents=True, exist_ok=True)

    def add(self, **said: Any) -> None:
        """Append a line at once, so that it is kept whatever happens next."""
        line = json.dumps(said, ensure_ascii=False, default=str)
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(f"{line}\n")
