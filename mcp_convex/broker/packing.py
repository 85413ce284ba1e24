"""Brotli, in which the CLI sends a push and in which it travels on over a network. Bounded."""

from __future__ import annotations

from importlib import import_module
from typing import Any

MAX_BODY = 200_000_000
"""Bytes. What Convex itself takes for one push (its `MAX_PUSH_BYTES`)."""


class BodyTooLarge(Exception):
    """A body exceeds `MAX_BODY`, as sent or once it is unpacked."""


class BodyCutOff(Exception):
    """The CLI went away before its body was complete."""


class BodyUnreadable(Exception):
    """A body is not what its headers say."""


def unpacked(body: bytes, encoding: str, limit: int = MAX_BODY) -> bytes:
    """
    Return *body* without its content encoding, of which the CLI uses one, brotli.

    Raises:
        BodyTooLarge: It grows beyond *limit* bytes.
        BodyUnreadable: It is not brotli, or cut off.
    """
    if not encoding:
        return body
    if encoding != "br":
        raise BodyUnreadable(encoding)
    brotli = _brotli()
    decoder, plain, more = brotli.Decompressor(), bytearray(), body
    try:
        while not decoder.is_finished() and len(plain) <= limit:
            piece: bytes = decoder.process(more, output_buffer_limit=limit + 1)
            if not piece:
                raise BodyUnreadable(encoding)
            plain += piece
            more = b""
    except brotli.error as exc:
        raise BodyUnreadable(encoding) from exc
    if len(plain) > limit:
        raise BodyTooLarge(len(plain))
    return bytes(plain)


def packed(body: bytes) -> bytes:
    """Return *body* compressed as the CLI does it: quickly."""
    brotli = _brotli()
    small: bytes = brotli.compress(body, mode=brotli.MODE_TEXT, quality=4)
    return small


def _brotli() -> Any:
    """Return the library, which has no types, and which nothing needs before the first push."""
    return import_module("brotli")
