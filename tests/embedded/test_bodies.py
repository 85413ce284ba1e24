"""Bodies as the CLI sends them: packed, in pieces, small and large."""

from __future__ import annotations

import os

import brotli
import pytest
from starlette.requests import Request

from mcp_convex.embedded.bodies import read_bytes
from mcp_convex.embedded.refusals import Refusal

pytestmark = pytest.mark.anyio

PIECE = 64 * 1024


def request(body: bytes) -> Request:
    pieces = [body[start : start + PIECE] for start in range(0, len(body), PIECE)]

    async def receive():
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    return Request({"type": "http", "method": "POST", "headers": [(b"content-encoding", b"br")]}, receive)


@pytest.mark.parametrize("repeats", [1, 500, 2000])
async def test_a_packed_body_comes_out_whole_however_large(repeats):
    """Brotli takes the last of its input while megabytes of output are still to come."""
    body = (os.urandom(1_000) + b"a" * 9_000) * repeats

    assert body == await read_bytes(request(brotli.compress(body, quality=4)))


async def test_a_packed_body_that_ends_too_early_is_refused():
    packed = brotli.compress(os.urandom(100_000), quality=1)

    with pytest.raises(Refusal):
        await read_bytes(request(packed[:-100]))


async def test_a_body_that_unpacks_beyond_the_bound_is_refused():
    with pytest.raises(Refusal):
        await read_bytes(request(brotli.compress(b"a" * 5_000_000)), limit=1_000_000)
