"""Who gets through the gate, with what."""

from __future__ import annotations

import stat

import brotli
import httpx2
import pytest

from mcp_convex.broker import LocalGate
from mcp_convex.broker.packing import BodyTooLarge, BodyUnreadable, unpacked
from mcp_convex.domain.ports import PushTerms
from tests.doubles.deployment import ADMIN_KEY

pytestmark = pytest.mark.anyio

ELSEWHERE = [
    "/api/update_environment_variables",
    "/api/v1/list_environment_variables",
    "/api/deploy2/evaluate_push",
    "/api/run_test_function",
    "/api/query",
    "/api/../api/query",
    "/",
]


@pytest.mark.parametrize("path", ELSEWHERE)
async def test_only_what_a_push_needs_gets_through(opened, deployment, path):
    async with opened() as cli:
        answer = await cli.ask(path, {"adminKey": cli.key})
        verdict = cli.session.verdict()

    assert 403 == answer.status_code
    assert ["request_refused"] == [note.code for note in verdict.diagnostics]
    assert not deployment.seen


async def test_the_wrong_method_does_not_get_through(opened, deployment):
    async with opened() as cli:
        assert 403 == (await cli.ask("/api/get_config_hashes")).status_code
        assert not deployment.seen


@pytest.mark.parametrize("key", ["none", "gate|", ADMIN_KEY, "gate|" + "0" * 64])
async def test_another_key_opens_nothing(opened, deployment, key):
    async with opened() as cli:
        assert 401 == (await cli.ask("/api/v1/get_canonical_urls", key=key)).status_code
        assert not deployment.seen


async def test_a_body_has_to_carry_the_placeholder_too(opened, deployment):
    async with opened() as cli:
        answer = await cli.ask("/api/get_config_hashes", {"version": "1.48.0", "adminKey": ADMIN_KEY})

        assert 400 == answer.status_code
        assert not deployment.seen


async def test_a_placeholder_opens_its_own_session_only(opened, deployment):
    async with opened() as one, opened() as other:
        assert one.key != other.key
        assert one.session.url == other.session.url
        crossed = await one.ask("/api/get_config_hashes", {"version": "1", "adminKey": other.key})

        assert 400 == crossed.status_code
        assert not deployment.seen


async def test_a_placeholder_is_worth_nothing_once_its_session_is_closed(opened, deployment):
    async with opened() as cli:
        pass
    async with httpx2.AsyncClient(trust_env=False) as http:
        headers = {"Authorization": f"Convex {cli.key}"}
        answer = await http.get(f"{cli.session.url}/api/v1/get_canonical_urls", headers=headers)

    assert 401 == answer.status_code
    assert not deployment.seen


async def test_nothing_gets_through_after_the_verdict(opened, deployment):
    async with opened() as cli:
        await cli.push()
        again = await cli.start_push()
        report = await cli.ask("/api/deploy2/report_push_completed", {"adminKey": cli.key, "spans": []})

    assert (403, 200) == (again.status_code, report.status_code)
    assert 1 == deployment.pushes
    assert not deployment.asked("report_push_completed")


async def test_steps_out_of_order_end_the_push(opened, deployment):
    async with opened() as cli:
        await cli.finish_push()

        assert "tooling" == cli.session.verdict().failure
        assert not deployment.seen


async def test_a_body_that_is_not_a_push_ends_it(opened, deployment):
    async with opened() as cli:
        await cli.ask("/api/deploy2/start_push", {"adminKey": cli.key})

        assert "tooling" == cli.session.verdict().failure
        assert not deployment.seen


def test_a_compressed_body_is_bounded_by_what_comes_out_of_it():
    bomb = brotli.compress(b"0" * 50_000_000)

    with pytest.raises(BodyTooLarge):
        unpacked(bomb, "br", limit=1_000_000)
    assert 50_000_000 == len(unpacked(bomb, "br", limit=50_000_000))


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(b"not brotli", "br"), (brotli.compress(b"0" * 99_999)[:-2], "br"), (b"", "br"), (b"x", "gzip")],
)
def test_a_body_that_is_not_what_it_says_is_refused(body, encoding):
    with pytest.raises(BodyUnreadable):
        unpacked(body, encoding)


async def test_the_gate_listens_on_a_socket_of_its_owners_too(deployment, gate):
    async def ignore(stage):
        pass

    path = await gate.socket_path()
    async with (await gate.hold()).open(
        PushTerms(purpose="push", reach=deployment.reach, deadline_s=9), ignore
    ) as session:
        headers = {"Authorization": f"Convex {session.placeholder.get_secret_value()}"}
        transport = httpx2.AsyncHTTPTransport(uds=str(path))
        async with httpx2.AsyncClient(transport=transport) as http:
            answer = await http.get("http://gate/api/v1/get_canonical_urls", headers=headers)

    assert 200 == answer.status_code
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)


async def test_a_closed_gate_leaves_nothing_behind_and_can_open_again(deployment):
    async def ignore(stage):
        pass

    gate = LocalGate()
    path = await gate.socket_path()
    await gate.aclose()
    terms = PushTerms(purpose="push", reach=deployment.reach, deadline_s=9)
    async with (await gate.hold()).open(terms, ignore) as session:
        url = session.url
    await gate.aclose()

    assert not path.parent.exists()
    async with httpx2.AsyncClient(trust_env=False) as http:
        with pytest.raises(httpx2.ConnectError):
            await http.get(url)
