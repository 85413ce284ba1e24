"""Who calls: an admin, a person whom the app's auth provider vouches for, or nobody in particular."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from starlette.requests import HTTPConnection

from mcp_convex.embedded.auth import AdminKey
from mcp_convex.embedded.identity import Identities, Identity
from mcp_convex.embedded.refusals import Refusal, forbidden
from mcp_convex.embedded.wire import fields


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. An admin may call what is internal, and may act as a person."""

    admin: bool = False
    identity: Identity | None = None


NOBODY = Caller()


class Access:
    """Reads credentials."""

    def __init__(self, key: AdminKey, identities: Identities) -> None:
        self._key = key
        self._identities = identities

    def check_key(self, offered: object) -> None:
        """
        Return if *offered* is the admin key.

        Raises:
            Refusal: It is not.
        """
        self._key.check(offered)

    def check_admin(self, request: HTTPConnection) -> None:
        """
        Return if the request carries the admin key.

        Raises:
            Refusal: It carries another credential (403 for a person's, 401 for a wrong key) or none.
        """
        scheme, credential = _authorization(request)
        match scheme:
            case "convex":
                self._key.check(_split(credential)[0])
            case "bearer":
                raise forbidden()
            case _:
                raise Refusal(401, "MissingAuthHeader", "An admin key is needed, and the request has none.")

    async def caller(self, request: HTTPConnection) -> Caller:
        """
        Return who sends *request*.

        Raises:
            Refusal: Its credential is wrong.
        """
        scheme, credential = _authorization(request)
        match scheme:
            case "":
                return NOBODY
            case "convex":
                key, acting_as = _split(credential)
                return self.admin(key, _decoded(acting_as) if acting_as else None)
            case "bearer":
                return await self.person(credential)
            case _:
                raise Refusal(401, "InvalidAuthHeader", "The Authorization header is neither `Bearer` nor `Convex`.")

    def admin(self, key: object, acting_as: Identity | None = None) -> Caller:
        """
        Return the admin who has *key*.

        Raises:
            Refusal: It is not the key.
        """
        self._key.check(key)
        return Caller(admin=True, identity=None if acting_as is None else _named(acting_as))

    async def person(self, token: str) -> Caller:
        """
        Return the person whom *token*, a JWT, names.

        Raises:
            Refusal: No auth provider of the app vouches for it.
        """
        return Caller(identity=await self._identities.verify(token))


def _authorization(request: HTTPConnection) -> tuple[str, str]:
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    return scheme.lower(), credential.strip()


def _split(credential: str) -> tuple[str, str]:
    """Return an admin's key, and the identity to act as, which follows it after a colon."""
    name, bar, rest = credential.partition("|")
    secret, _, acting_as = rest.partition(":")
    return f"{name}{bar}{secret}", acting_as


def _named(identity: Identity) -> Identity:
    """Return *identity* with the name that apps know people by, as Convex makes it."""
    return {"tokenIdentifier": f"{identity.get('issuer')}|{identity.get('subject')}", **identity}


def _decoded(acting_as: str) -> dict[str, Any]:
    try:
        identity = json.loads(base64.b64decode(acting_as, validate=True))
    except (binascii.Error, ValueError):
        identity = None
    if not isinstance(identity, dict):
        raise Refusal(401, "InvalidAuthHeader", "The identity to act as is no JSON in base64.")
    return fields(identity)
