"""The short form of the load that `make soak` puts on two servers for a quarter of an hour."""

from __future__ import annotations

import pytest

from tests.soak.load import Load, endured

pytestmark = pytest.mark.anyio


async def test_two_servers_answer_many_principals_rightly_while_some_push(tmp_path, postgres):
    load = Load(principals=20, calls_a_minute=600, pushes_at_once=3, rounds_of_pushes=1, minutes=0.15)

    seen = await endured(load, tmp_path, postgres)

    assert [] == seen.misled + seen.failed
    assert 3 == seen.calls["push"]
    assert 93 == seen.calls.total()
