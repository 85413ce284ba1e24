"""What an issuer says of itself: where its keys are, and where browsers sign in."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from mcp_convex.domain.identity import CannotJudge
from mcp_convex.identity.asking import Issuer


async def named_url(what: str, name: str, issuer: Issuer) -> str:
    """
    Return the URL that the metadata of the issuer *name* gives for *what*, such as `jwks_uri`.

    Raises:
        CannotJudge: There is no metadata, it is another's, or it leads away from https.
    """
    metadata = await _metadata(name, issuer)
    url = metadata.get(what)
    if metadata.get("issuer") != name or not isinstance(url, str):
        raise CannotJudge("the issuer's metadata is another's")
    if urlsplit(url).scheme != "https" and urlsplit(name).scheme == "https":
        raise CannotJudge("the issuer's metadata leads away from https")
    return url


async def _metadata(name: str, issuer: Issuer) -> dict[str, Any]:
    """Return it by OpenID Connect Discovery, else by RFC 8414."""
    try:
        return await issuer.get(f"{name.rstrip('/')}/.well-known/openid-configuration")
    except CannotJudge:
        parts = urlsplit(name)
        path = f"/.well-known/oauth-authorization-server{parts.path.rstrip('/')}"
        return await issuer.get(parts._replace(path=path).geturl())
