"""What is kept of a command's output."""

from __future__ import annotations

import re
from collections import deque

from mcp_convex.domain.ports import OnOutput

_KEPT = 256 * 1024
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


class KeptOutput:
    """Passes output on, and keeps the end of it."""

    def __init__(self, on_output: OnOutput) -> None:
        self.on_output = on_output
        self._pieces: deque[str] = deque()
        self._length = 0

    def __call__(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)
        while self._length - len(self._pieces[0]) >= _KEPT:
            self._length -= len(self._pieces.popleft())
        self.on_output(text)

    def tail(self) -> str:
        """Return the end of the output, without what only a terminal understands."""
        return _ANSI.sub("", "".join(self._pieces)[-_KEPT:])
