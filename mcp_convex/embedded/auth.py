"""The admin key: made once, kept in a file of its own, compared in constant time."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from pydantic import SecretStr

from mcp_convex.domain.secrets import AdminKeyValue
from mcp_convex.embedded import durable
from mcp_convex.embedded.refusals import bad_key


class AdminKey:
    """The one key of a deployment."""

    def __init__(self, deployment: str, value: AdminKeyValue) -> None:
        self._deployment = deployment
        self._value = value

    def check(self, offered: object) -> None:
        """
        Return if *offered* is the key.

        Raises:
            Refusal: It is not.
        """
        key = self._value.get_secret_value().encode()
        # The CLI reads a deploy key's kind from this prefix, and sends it along.
        if not isinstance(offered, str) or not hmac.compare_digest(key, offered.removeprefix("dev:").encode()):
            raise bad_key(self._deployment)


def load_or_make(path: Path, deployment: str) -> AdminKeyValue:
    """Return the key kept at *path*, made now if this is the deployment's first start."""
    if not path.exists():
        durable.write(path, f"{deployment}|{secrets.token_hex(32)}".encode())
    return AdminKeyValue(SecretStr(path.read_text().strip()))
