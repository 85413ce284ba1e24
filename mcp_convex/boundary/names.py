"""Which hosts and origins a request may name: a host, since DNS can be rebound to this machine, and a page's origin."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_convex.boundary.problems import problem

ASKED_BY_MACHINES = ("/healthz", "/readyz")
"""A balancer asks by whatever address it has, and is told a word that is nobody's secret."""
_PAGES = "/convex/"
"""Our pages are served with `no-referrer`, so their forms come with `Origin: null`; `web.guards` checks those."""
_READ_BY_PAGES = ("Mcp-Session-Id", "Retry-After", "WWW-Authenticate", "X-Request-Id")


class KnownNames:
    """Middleware that lets requests through which name one of *hosts*, and one of *origins* or none."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], origins: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, named = scope["path"], Headers(scope=scope)
        app = self._app
        if path not in ASKED_BY_MACHINES and not _is_among(named.get("host", ""), self._hosts):
            app = _refusal(421, "Host")
        elif not path.startswith(_PAGES) and "origin" in named and not _is_among(named["origin"], self._origins):
            app = _refusal(403, "Origin")
        await app(scope, receive, send)


def by_known_names(hosts: Collection[str], origins: Collection[str]) -> list[Middleware]:
    """Return the middleware that refuses other names, and lets pages of *origins* (but `name:*`) read the answers."""
    exact = [origin for origin in origins if not origin.endswith(":*")]
    return [
        Middleware(KnownNames, hosts=hosts, origins=origins),
        Middleware(
            CORSMiddleware,
            allow_origins=exact,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=_READ_BY_PAGES,
        ),
    ]


def _refusal(status: int, what: str) -> Response:
    return problem(
        status,
        f"{what.lower()}_refused",
        f"Requests may not name that {what}.",
        "The operator says which, with MCP_CONVEX_ALLOWED_HOSTS and MCP_CONVEX_ALLOWED_ORIGINS.",
    )


def _is_among(name: str, known: Collection[str]) -> bool:
    """Say whether *name* is *known*, of which `name:*` stands for every port."""
    host, _, port = name.rpartition(":")
    return name in known or (port.isdigit() and f"{host}:*" in known)
