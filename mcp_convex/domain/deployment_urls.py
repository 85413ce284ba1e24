"""What counts as a deployment's URL: an origin that a key may be sent to."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from mcp_convex.domain.errors import InvalidArguments

_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def deployment_origin(text: str) -> str:
    """
    Return the origin that *text* names, such as `https://convex.example.com`.

    Raises:
        InvalidArguments: It is not such a URL, or a key would travel to it over the internet in clear text.
    """
    text = text.strip()
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise _refused("has to be a URL") from None
    if not text.isprintable():  # `urlsplit` drops line breaks without a word
        raise _refused("may not hold line breaks")
    _check(url)
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return f"{url.scheme}://{host}" + (f":{port}" if port not in {None, _DEFAULT_PORTS[url.scheme]} else "")


def _check(url: SplitResult) -> None:
    host = url.hostname or ""
    if url.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host):
        raise _refused("has to begin with `https://` or `http://` and a host")
    if url.username is not None or url.password is not None:
        raise _refused("may not hold a name or password")
    if url.path not in {"", "/"} or url.query or url.fragment:
        raise _refused("ends after the host and port: Convex's CLI drops a path")
    if url.scheme == "http" and not _is_near(host):
        raise _refused("has to begin with `https://`, or its key would travel unencrypted")


def _is_near(host: str) -> bool:
    """Say whether *host* is on this machine or in its own network."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_SUFFIXES)
    return address.is_private and not address.is_link_local


def _refused(why: str) -> InvalidArguments:
    return InvalidArguments(
        f"A deployment's URL {why}.", next_step="Pass the deployment's own URL, such as `https://convex.example.com`."
    )
