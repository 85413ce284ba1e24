"""What the CLI gets to hear."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer of the gate; its body is JSON."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def said(status: int, code: str, message: str) -> Answer:
    """Return an answer in the form of Convex's own refusals."""
    return Answer(status, json.dumps({"code": code, "message": message}).encode())
