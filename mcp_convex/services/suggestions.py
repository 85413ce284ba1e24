"""Suggesting what a misspelt name may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question such as "Did you mean `a` or `b`? " with the *known* names closest to *name*, or nothing."""
    close = get_close_matches(name, known, n=3)
    return f"Did you mean {' or '.join(f'`{each}`' for each in close)}? " if close else ""
