"""The panel's one document, made for the host that shows it: everything is within it, nothing comes from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

Host = Literal["app", "page"]

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Document:
    html: str
    policy: str
    """The Content-Security-Policy of it as a page: its own style and script, and calls to where it came from."""


def for_app() -> str:
    """Return the document for a chat, whose host decides on the policy."""
    return made_for("app").html


@cache
def made_for(host: Host) -> Document:
    """Return the document for *host*."""
    style = _read("panel.css")
    script = f"{_read('panel.js')}\n{_read(f'in_{host}.js')}"
    html = _read("panel.html").replace("/* style */", style).replace("/* host */", host)
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Document(html.replace("/* script */", script), policy)


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
