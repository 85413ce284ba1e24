"""The panel's document, made for the host that shows it: a chat gets all of it in one, a page fetches its parts."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

_HERE = Path(__file__).parent
_PARTS = ("elements", "words", "connection", "activity", "panel")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""The Content-Security-Policy of the page: nothing inline, nothing from elsewhere, and no text that becomes HTML."""


@cache
def for_app() -> str:
    """Return the document for a chat, which lets it load nothing, and decides on its policy."""
    style, code = f"<style>{style_sheet()}</style>", f'<script type="module">{script("app")}</script>'
    return _made("app", style, code)


def for_page(path: str) -> str:
    """Return the document for a page whose style and script are below *path*."""
    style, code = f'<link rel="stylesheet" href="{path}/panel.css">', f"{path}/panel.js"
    return _made("page", style, f'<script type="module" src="{code}"></script>')


@cache
def style_sheet() -> str:
    """Return how the panel looks."""
    return _read("panel.css")


@cache
def script(host: Literal["app", "page"]) -> str:
    """Return what the panel does, as one module that knows *host*."""
    return "\n".join(_read(f"{name}.js") for name in (*_PARTS, f"in_{host}"))


def _made(host: str, style: str, code: str) -> str:
    html = _read("panel.html")
    for name, what in (("host", host), ("style", style), ("script", code)):
        html = html.replace(f"{{{name}}}", what)
    return html


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
