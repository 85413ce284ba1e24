"""From when to when the pages are served, and on which addresses."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from starlette.responses import PlainTextResponse

from mcp_convex.domain.connections import PendingPage
from mcp_convex.domain.errors import PortInUse
from mcp_convex.domain.models import WorkspaceId
from mcp_convex.web import serving
from mcp_convex.web.serving import LocalPages
from tests.doubles.office import free_port

pytestmark = pytest.mark.anyio


def page(*, expires_in=timedelta(minutes=10)):
    now = datetime.now(UTC)
    return PendingPage(
        handle="h4ndl3",
        purpose="connect",
        workspace=WorkspaceId("w1"),
        subject={},
        created_at=now,
        expires_at=now + expires_in,
    )


async def answers(port, host):
    try:
        stream = await anyio.connect_tcp(host, port)
    except OSError:
        return False
    await stream.aclose()
    return True


@pytest.fixture
async def pages():
    local = LocalPages(free_port(), lambda: PlainTextResponse("here"))
    yield local
    await local.aclose()


async def test_nothing_listens_before_the_first_link_nor_after_the_end(pages):
    port = int(pages.origin.rpartition(":")[2])
    seen = [await answers(port, "127.0.0.1")]
    assert f"{pages.origin}/convex/pages/h4ndl3" == await pages.link(page())
    seen += [await answers(port, "127.0.0.1"), await answers(port, "::1")]
    await pages.aclose()
    seen.append(await answers(port, "127.0.0.1"))

    assert [False, True, True, False] == seen


async def test_the_port_is_given_back_once_nobody_can_be_waiting(pages):
    port = int(pages.origin.rpartition(":")[2])
    await pages.link(page(expires_in=timedelta(seconds=0.1) - serving.STAYS))
    assert await answers(port, "127.0.0.1")

    with anyio.fail_after(60):
        while await answers(port, "127.0.0.1"):
            await anyio.lowlevel.checkpoint()
    await pages.link(page())
    assert await answers(port, "127.0.0.1")


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
async def test_a_port_that_is_taken_on_either_address_is_said_to_be(pages, family, host):
    port = int(pages.origin.rpartition(":")[2])
    with socket.create_server((host, port), family=family), pytest.raises(PortInUse, match=str(port)):
        await pages.link(page())

    await pages.link(page())


async def test_two_servers_on_one_port_take_turns(pages):
    other = LocalPages(int(pages.origin.rpartition(":")[2]), lambda: PlainTextResponse("there"))
    await other.link(page())
    with pytest.raises(PortInUse):
        await pages.link(page())

    await other.aclose()
    assert await pages.link(page())
