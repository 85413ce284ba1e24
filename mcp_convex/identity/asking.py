"""Asking an issuer: the only place of this package that sends HTTP, bounded in time and size."""

from __future__ import annotations

from typing import Any

import anyio
import httpx2
from pydantic import SecretStr, TypeAdapter, ValidationError

from mcp_convex.domain.identity import CannotJudge

ANSWER_S = 5.0
"""Seconds for the whole answer."""
LARGEST_ANSWER = 512 * 1024
"""Bytes."""

_OBJECT = TypeAdapter(dict[str, Any])
_OK = 200


class Issuer:
    """An issuer's endpoints, over one pool of connections. Follows no redirect: where to ask, the operator says."""

    def __init__(self) -> None:
        self._client = httpx2.AsyncClient(follow_redirects=False, timeout=ANSWER_S)

    async def get(self, url: str) -> dict[str, Any]:
        """
        Return the JSON object at *url*.

        Raises:
            CannotJudge: There is none, or not in time.
        """
        return await self._ask("GET", url)

    async def post(self, url: str, form: dict[str, str], client_id: str, secret: SecretStr) -> dict[str, Any]:
        """
        Return the JSON object that *url* answers to *form*, sent by the client *client_id*.

        Raises:
            CannotJudge: There is none, or not in time.
        """
        return await self._ask("POST", url, form, httpx2.BasicAuth(client_id, secret.get_secret_value()))

    async def aclose(self) -> None:
        """Give back the connections."""
        await self._client.aclose()

    async def _ask(
        self, method: str, url: str, form: dict[str, str] | None = None, auth: httpx2.BasicAuth | None = None
    ) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        try:
            with anyio.fail_after(ANSWER_S):
                async with self._client.stream(method, url, data=form, auth=auth, headers=headers) as response:
                    return _OBJECT.validate_json(await _body(response))
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValidationError):
            # No cause: the token that was asked about may stand in it.
            raise CannotJudge("the issuer did not answer as issuers do") from None


async def _body(response: httpx2.Response) -> bytes:
    if response.status_code != _OK:
        raise CannotJudge(f"the issuer answered {response.status_code}")
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise CannotJudge("the issuer's answer has no end")
    return bytes(body)
