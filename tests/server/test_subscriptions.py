"""Why `boundary.subscriptions` reaches into the SDK: 2.3 has no public way, and this fails with the first that has."""

from __future__ import annotations

from dataclasses import fields

from mcp.server import ServerRequestContext
from mcp.server.session import ServerSession


def test_a_request_is_handed_nothing_public_that_tells_of_its_connections_end():
    handed = {field.name for field in fields(ServerRequestContext)} | set(dir(ServerSession))

    assert not {"connection", "exit_stack", "state", "on_close"} & handed
    assert "session" in handed
