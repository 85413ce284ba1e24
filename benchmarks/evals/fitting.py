"""Comparing what was found with what a task says, and putting what is known into what it calls."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_NAMED = re.compile(r"\$\{([\w.]+)\}")
_SHOWN = 300


class Misfit(Exception):
    """Something is otherwise than the task says; the message says what and where."""


def fit(expected: Any, found: Any, at: str = "it") -> None:
    """
    Hold *found* against *expected*, which only says what matters.

    Of a mapping the named entries count, of a list each one in its place; `{$has: […]}` wants
    a list with entries that fit, or a text with these pieces, and `{$length: n}` so many.

    Raises:
        Misfit: It is otherwise.
    """
    match expected:
        case {"$has": list() as wanted, **rest} if not rest:
            for each in wanted:
                _has(each, found, at)
        case {"$length": int() as length, **rest} if not rest:
            if not isinstance(found, list | dict | str) or len(found) != length:
                raise Misfit(f"{at} has not {length} entries: {shown(found)}")
        case dict():
            _fit_mapping(expected, found, at)
        case list() if isinstance(found, list) and len(found) == len(expected):
            for index, (one, other) in enumerate(zip(expected, found, strict=True)):
                fit(one, other, f"{at}.{index}")
        case _ if expected != found or isinstance(expected, bool) != isinstance(found, bool):  # to Python 1 is true
            raise Misfit(f"{at} is {shown(found)}, not {shown(expected)}")
        case _:
            pass


def _fit_mapping(expected: Mapping[str, Any], found: Any, at: str) -> None:
    if not isinstance(found, dict):
        raise Misfit(f"{at} is {shown(found)}, not {shown(expected)}")
    for key, value in expected.items():
        fit(value, found.get(key), f"{at}.{key}")


def _has(wanted: Any, found: Any, at: str) -> None:
    if isinstance(found, str) and isinstance(wanted, str):
        if wanted not in found:
            raise Misfit(f"{at} does not say {shown(wanted)}: {shown(found)}")
        return
    if not isinstance(found, list) or not any(_fits(wanted, each) for each in found):
        raise Misfit(f"{at} has no {shown(wanted)}: {shown(found)}")


def _fits(expected: Any, found: Any) -> bool:
    try:
        fit(expected, found)
    except Misfit:
        return False
    return True


def filled(value: Any, known: Mapping[str, Any]) -> Any:
    """
    Return *value* with what is *known* in the place of `${names}`; `${note._id}` and `${notes.0}` look into it.

    Raises:
        Misfit: Something is not known.
    """
    match value:
        case str():
            if whole := _NAMED.fullmatch(value):
                return _looked_up(whole[1], known)
            return _NAMED.sub(lambda named: str(_looked_up(named[1], known)), value)
        case list():
            return [filled(each, known) for each in value]
        case dict():
            return {key: filled(each, known) for key, each in value.items()}
        case _:
            return value


def _looked_up(path: str, known: Mapping[str, Any]) -> Any:
    found: Any = known
    for part in path.split("."):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (LookupError, TypeError, ValueError):
            raise Misfit(f"${{{path}}} is not known") from None
    return found


def shown(value: Any) -> str:
    """Return *value* as JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
