"""What every request passes and every answer carries: whose browser, which host, which origin, what a page may do."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE_LIFE_S = 60 * 60
_COOKIE_BYTES = 32


class Headers:
    """Adds what every answer carries, and answers no other host: a name that was rebound to this machine gets 421."""

    def __init__(self, app: ASGIApp, *, origin: str, style_hash: str, leads_to: str | None) -> None:
        self._app = app
        self._host = urlsplit(origin).netloc
        # A redirect after a form counts as the form's action, so Convex's authorize page is named.
        forms = " ".join(["'self'", *([_origin(leads_to)] if leads_to else [])])
        self._headers = {
            "Content-Security-Policy": f"default-src 'none'; style-src '{style_hash}'; form-action {forms};"
            " base-uri 'none'; frame-ancestors 'none'",
            "Cache-Control": "no-store",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        hosts = [value for name, value in scope["headers"] if name == b"host"]
        app = self._app if hosts == [self._host.encode()] else Response("Misdirected request.", 421)
        await app(scope, receive, with_headers)


def comes_from_here(request: Request, origin: str) -> bool:
    """
    Say whether a form was sent by a page of ours, as far as the browser tells.

    Under `Referrer-Policy: no-referrer` a browser sends `Origin: null` with a form even to where the form came from,
    so `null` says nothing; `Sec-Fetch-Site` then does. The form's own token is checked whatever these say.
    """
    named = request.headers.get("origin", "null") in {"null", origin}
    return named and request.headers.get("sec-fetch-site", "same-origin") == "same-origin"


def is_opened(request: Request) -> bool:
    """Say whether a person's tab asks, as far as the browser tells: no picture or script that some page names."""
    return request.headers.get("sec-fetch-dest", "document") == "document"


class Browser:
    """One browser, known by a random cookie of ours, which opens nothing by itself."""

    def __init__(self, request: Request, *, secure: bool) -> None:
        self._name = "__Host-mcp_convex" if secure else "mcp_convex"
        self._secure = secure
        self._is_new = self._name not in request.cookies
        self._value = request.cookies.get(self._name) or secrets.token_urlsafe(_COOKIE_BYTES)

    @property
    def mark(self) -> str:
        """What is kept of the browser: the hash of its cookie."""
        return hashlib.sha256(self._value.encode()).hexdigest()

    def form_token(self, handle: str) -> str:
        """Return the CSRF token of the form on the page *handle*: nobody can make it who cannot read the cookie."""
        return hmac.new(self._value.encode(), handle.encode(), hashlib.sha256).hexdigest()

    def sent(self, token: str, handle: str) -> bool:
        """Say whether this browser sent the form of the page *handle* that was made for it."""
        return not self._is_new and hmac.compare_digest(token.encode(), self.form_token(handle).encode())

    def remember(self, response: Response) -> Response:
        """Have the browser keep its cookie. It is Lax, since a Strict one would not come back from Convex."""
        response.set_cookie(
            self._name,
            self._value,
            max_age=COOKIE_LIFE_S,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )
        return response


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
