"""What is exchanged on the way: the placeholder for the key, the values of env vars for masks."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from mcp_convex.domain.secrets import REDACTED, AdminKeyValue, forms

_LONG_ENOUGH = 12
"""Characters. A word or number of fewer is no secret, and stands in too many harmless places."""
_SHORTEST = 6


def with_key(body: bytes, placeholder: str, key: AdminKeyValue) -> bytes:
    """Return the CLI's JSON *body* with the real key where the placeholder stood, without building it anew."""
    stood, stands = (f'"adminKey":{json.dumps(text)}'.encode() for text in (placeholder, key.get_secret_value()))
    if stood in body:
        return body.replace(stood, stands, 1)
    return json.dumps({**json.loads(body), "adminKey": key.get_secret_value()}).encode()


class Masks:
    """What must not reach the CLI, in each form that an answer may hold it in, and what stands there instead."""

    def __init__(self, key: AdminKeyValue) -> None:
        whole = key.get_secret_value()
        _, _, tail = whole.partition("|")
        self._salt = secrets.token_hex(4)
        self._replacements: dict[bytes, bytes] = {}
        for text in filter(None, (whole, tail)):
            self._replacements.update(dict.fromkeys(_forms(text), REDACTED.encode()))

    def learn(self, env_vars: Mapping[str, str], *, sent: bytes) -> dict[str, str]:
        """
        Hide the values of *env_vars* from now on, except those that the CLI has *sent* itself.

        Returns:
            The names, each with its mask.
        """
        masks = {name: f"masked-{self._salt}-{at}" for at, name in enumerate(env_vars)}
        for name, value in env_vars.items():
            told = _forms(value)
            if _is_telling(value) and not any(form in sent for form in told):
                self._replacements.update(dict.fromkeys(told, masks[name].encode()))
        by_length = sorted(self._replacements.items(), key=lambda item: len(item[0]), reverse=True)
        self._replacements = dict(by_length)
        return masks

    def hide(self, body: bytes) -> bytes:
        """Return *body* with everything secret masked."""
        for form, mask in self._replacements.items():
            if form in body:
                body = body.replace(form, mask)
        return body


def spliced(members: Mapping[str, Any], name: str, value: bytes) -> bytes:
    """Return *members* as a JSON object, with *name* replaced by *value*: JSON that has to arrive byte for byte."""
    others = {other: content for other, content in members.items() if other != name}
    opening = json.dumps({**others, name: None}, separators=(",", ":")).encode()
    return opening.removesuffix(b"null}") + value + b"}"


def _forms(text: str) -> set[bytes]:
    return {form.encode() for form in forms(text)}


def _is_telling(value: str) -> bool:
    if len(value) >= _LONG_ENOUGH:
        return True
    return len(value) >= _SHORTEST and not value.isalpha() and not value.isdigit()
