"""The signing keys of Convex Auth: made here, sent to the deployment, and kept nowhere else."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from urllib.parse import urlsplit

import anyio.to_thread
from pydantic import SecretStr

from mcp_convex.domain.errors import CannotAsk, InvalidArguments
from mcp_convex.domain.models import Model
from mcp_convex.domain.ports import DeploymentApi, Reach
from mcp_convex.services.targets import TargetService

PRIVATE_KEY, PUBLIC_KEYS, SITE_URL = "JWT_PRIVATE_KEY", "JWKS", "SITE_URL"
_PAIR = frozenset({PRIVATE_KEY, PUBLIC_KEYS})
_RSA_BITS = 2048
_EXPONENT = 65537


class AuthSetUp(Model):
    """Which of Convex Auth's env vars were set, and which stood already. Never a value."""

    deployment: str
    set: tuple[str, ...]
    kept: tuple[str, ...]
    next_step: str


class AuthKeyService:
    def __init__(self, api: DeploymentApi, targets: TargetService) -> None:
        self._api = api
        self._targets = targets

    async def signs_out(self) -> bool:
        """
        Say whether a new pair of keys would sign anybody out.

        Raises:
            BlockedByPolicy: The deployment may not be changed.
        """
        return await self._there(await self._targets.changeable()) >= _PAIR

    async def set_up(self, site_url: str | None = None, *, rotate: bool = False, consented: bool = False) -> AuthSetUp:
        """
        Set what Convex Auth needs and the deployment lacks, in one update.

        Args:
            site_url: The frontend's origin, as the person's browser shows it.
            rotate: Make a new pair of keys although there is one.
            consented: A person has agreed that it signs everybody out.

        Raises:
            InvalidArguments: *site_url* is not the URL of a frontend.
            CannotAsk: To *rotate* would sign everybody out, and no person has agreed.
            BlockedByPolicy: The deployment may not be changed.
        """
        wanted = {} if site_url is None else {SITE_URL: _origin(site_url)}
        reach = await self._targets.changeable()
        there = await self._there(reach)
        if rotate and there >= _PAIR and not consented:
            raise cannot_ask()
        changes: dict[str, str | SecretStr] = {name: value for name, value in wanted.items() if name not in there}
        if rotate or not there >= _PAIR:  # half a pair signs nobody in
            changes |= await anyio.to_thread.run_sync(new_pair)
        if changes:
            await self._api.set_env_vars(reach, changes)
        return AuthSetUp(
            deployment=reach.target.name,
            set=tuple(sorted(changes)),
            kept=tuple(sorted(there & {*_PAIR, SITE_URL} - {*changes})),
            next_step=_advice({*there, *changes}, kept_url=SITE_URL in wanted and SITE_URL in there),
        )

    async def _there(self, reach: Reach) -> frozenset[str]:
        return frozenset(await self._api.list_env_vars(reach))


def cannot_ask() -> CannotAsk:
    """Return the error for a rotation to which nobody has agreed."""
    return CannotAsk(
        "New signing keys sign everybody out, which only a person may decide.",
        next_step="Ask the person to run `mcp-convex set-up-auth --rotate` in the workspace.",
    )


def new_pair() -> Mapping[str, SecretStr]:
    """
    Return a new RS256 pair in the two forms that Convex Auth 0.0.95 reads.

    The private key is PKCS #8 PEM with its line breaks as spaces, the public one a set of JSON Web Keys (RFC 7517).
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - slow to import, rarely needed
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - as above

    key = rsa.generate_private_key(public_exponent=_EXPONENT, key_size=_RSA_BITS)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_numbers()
    jwk = {"use": "sig", "kty": "RSA", "n": _base64url(public.n), "e": _base64url(public.e)}
    return {
        PRIVATE_KEY: SecretStr(pem.rstrip().replace("\n", " ")),
        PUBLIC_KEYS: SecretStr(json.dumps({"keys": [jwk]}, separators=(",", ":"))),
    }


def _base64url(number: int) -> str:
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.query:
        raise InvalidArguments(
            "`site_url` is not the URL of a frontend.", next_step="Pass its origin, such as `http://localhost:5173`."
        )
    return url.rstrip("/")


def _advice(names: set[str], *, kept_url: bool) -> str:
    if kept_url:
        return "SITE_URL stood already and was kept; `set_env_vars` changes it. Then push."
    if SITE_URL not in names:
        return "Pass `site_url` too, unless the app is React Native only: sign-in by link or OAuth returns there."
    return "Push; `auth.config.ts` finds the keys by the deployment's own site URL."
