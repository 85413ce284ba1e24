"""HTML whose text is always escaped: whatever is not `Html` already is text."""

from __future__ import annotations

from html import escape


class Html(str):
    """Markup: what is in it is escaped already."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | bool | None) -> Html:
    """
    Return the element *name* with *children* inside.

    An attribute is named as Python allows (`class_`, `aria_live`); True gives its name alone, False and None omit it.
    """
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    said = "".join(_attribute(key, value) for key, value in given.items() if value not in {None, False})
    inside = "".join(child if isinstance(child, Html) else escape(child) for child in children)
    return Html(f"<{name}{said}>") if name in _VOID else Html(f"<{name}{said}>{inside}</{name}>")


def joined(*parts: Html) -> Html:
    """Return *parts* one after the other."""
    return Html("".join(parts))


_VOID = frozenset({"input", "meta"})


def _attribute(name: str, value: object) -> str:
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
