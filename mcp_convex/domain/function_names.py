"""The many ways in which people and agents write the name of a Convex function, and the one that Convex takes."""

from __future__ import annotations

import re
from collections.abc import Collection

_ROUTE = re.compile(r"[A-Z]+ /")
_EXTENSION = re.compile(r"\.[cm]?[jt]sx?$")
_PREFIX = re.compile(r"^(?:api\.|internal\.|(?:\./)?convex/)")


def canonical(text: str) -> str:
    """
    Return `messages:send` for `messages.send`, `api.messages.send`, `convex/messages.ts:send` and the like.

    A module alone means its default export. The name of an HTTP action, `GET /path`, stays as it is.
    """
    name = text.strip()
    if _ROUTE.match(name):
        return name
    name = _PREFIX.sub("", name)
    if ":" in name:
        module, _, export = name.rpartition(":")
        return f"{_module(module)}:{export}"
    if "." in name and not _EXTENSION.search(name):
        module, _, export = name.rpartition(".")
        return f"{_module(module)}:{export}"
    return f"{_module(name)}:default"


def resolve(text: str, known: Collection[str]) -> str | None:
    """Return which of the *known* names *text* means, or None."""
    name = canonical(text)
    module, _, export = name.rpartition(":")
    as_path = ":".join(module.rsplit("/", 1)) if export == "default" else name  # `messages/send`
    return next((candidate for candidate in (name, as_path) if candidate in known), None)


def _module(text: str) -> str:
    return _EXTENSION.sub("", text).replace(".", "/")
