"""However a function's name is written, it is the one that is live."""

import pytest

from mcp_convex.domain.function_names import canonical, resolve

LIVE = {"messages:send", "messages:default", "admin/users:purge", "GET /hook"}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("messages:send", "messages:send"),
        ("messages.send", "messages:send"),
        ("api.messages.send", "messages:send"),
        ("internal.messages.send", "messages:send"),
        ("messages.js:send", "messages:send"),
        ("messages.ts:send", "messages:send"),
        ("convex/messages.ts:send", "messages:send"),
        ("./convex/messages:send", "messages:send"),
        ("messages/send", "messages:send"),
        (" messages:send ", "messages:send"),
        ("messages", "messages:default"),
        ("messages.ts", "messages:default"),
        ("api.admin.users.purge", "admin/users:purge"),
        ("admin/users.purge", "admin/users:purge"),
        ("admin/users/purge", "admin/users:purge"),
        ("GET /hook", "GET /hook"),
        ("messages:sent", None),
        ("", None),
        (":", None),
    ],
)
def test_a_name_is_understood_as_it_is_written(written, meant):
    assert meant == resolve(written, LIVE)


def test_a_name_that_is_not_live_keeps_its_canonical_form():
    assert "rooms/chat:join" == canonical("api.rooms.chat.join")
