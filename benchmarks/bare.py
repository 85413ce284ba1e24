"""A bare tool of the SDK, over HTTP and behind the same check of tokens: `python -m benchmarks.bare TOKENS_FILE`."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl, SecretStr

from mcp_convex.domain.identity import Refusal
from mcp_convex.identity.fixed import FixedTokens
from mcp_convex.services.connections import Connections

ANSWER = Connections(
    connections=(),
    target=None,
    next_step="This workspace works with the embedded deployment on this machine. Call `connect` to use the person's"
    " Convex account.",
)
"""As long as the other's."""


class Verifier(TokenVerifier):
    def __init__(self, tokens: FixedTokens) -> None:
        self._tokens = tokens

    async def verify_token(self, token: str) -> AccessToken | None:
        found = await self._tokens.identify(SecretStr(token))
        return None if isinstance(found, Refusal) else AccessToken(token="", client_id="", scopes=sorted(found.scopes))


def main() -> None:
    auth = AuthSettings(
        issuer_url=AnyHttpUrl("https://login.example.com"),
        resource_server_url=AnyHttpUrl("https://convex.example.com/mcp"),
        required_scopes=["convex"],
        validate_token_resource=False,
    )
    tokens = FixedTokens.read(Path(sys.argv[1]), auth.required_scopes or ())
    server = MCPServer("bare", token_verifier=Verifier(tokens), auth=auth, log_level="ERROR")

    @server.tool()
    async def get_connection() -> Connections:
        """Return what is always the same."""
        return ANSWER

    app = server.streamable_http_app(transport_security=TransportSecuritySettings(allowed_hosts=["127.0.0.1:*"]))
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    print(f"Serving at http://127.0.0.1:{sock.getsockname()[1]}/mcp.", flush=True)
    uvicorn.Server(uvicorn.Config(app, http="h11", log_config=None, access_log=False, ws="none")).run(sockets=[sock])


if __name__ == "__main__":
    main()
