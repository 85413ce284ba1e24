"""Reading what a request carries: bounded, brotli or plain."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

from anyio import to_thread
from starlette.requests import Request

from mcp_convex.embedded.refusals import Refusal, bad_request
from mcp_convex.embedded.wire import fields

brotli: Any = import_module("brotli")
"""It comes without types."""

MAX_BYTES = 200 * 1024 * 1024
"""What Convex takes as one push, after decompression."""

_LARGE = 256 * 1024
"""Bytes. What is larger is parsed in a thread, so that other requests are not held up."""


async def read_bytes(request: Request, limit: int = MAX_BYTES) -> bytes:
    """
    Return the request's body, decompressed.

    Raises:
        Refusal: It is larger than *limit* bytes, or is not brotli where it says so.
    """
    chunks = _unpacked(request) if request.headers.get("content-encoding") == "br" else request.stream()
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise Refusal(413, "RequestTooLarge", f"The request is larger than {limit} bytes.")
    return bytes(body)


async def read_json(request: Request) -> dict[str, Any]:
    """
    Return the request's body, which has to be a JSON object.

    Raises:
        Refusal: It is none, or it is too large.
    """
    body = await read_bytes(request)
    try:
        parsed = json.loads(body) if len(body) < _LARGE else await to_thread.run_sync(json.loads, body)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise bad_request("BadJsonBody", "The body of the request is not a JSON object.")
    return fields(parsed)


async def _unpacked(request: Request) -> AsyncIterator[bytes]:
    decompressor = brotli.Decompressor()
    try:
        async for chunk in request.stream():
            # A small input can unpack to gigabytes: it comes out in pieces, so that the limit is seen in time.
            yield decompressor.process(chunk, output_buffer_limit=_LARGE)
            while not decompressor.can_accept_more_data():
                yield decompressor.process(b"", output_buffer_limit=_LARGE)
        # It takes more input while there is output still to come, so the last of that is asked for.
        while not decompressor.is_finished():
            if not (piece := decompressor.process(b"", output_buffer_limit=_LARGE)):
                raise bad_request("BadCompression", "The body of the request ends too early.")
            yield piece
    except brotli.error as exc:
        raise bad_request("BadCompression", "The body of the request is not brotli.") from exc
