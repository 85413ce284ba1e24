"""Reading logs: the latest that fit, of what was asked for."""

from __future__ import annotations

import pytest

from mcp_convex.domain import errors
from mcp_convex.services.logs import LogService
from tests.doubles.convex_deployment import ConvexDeployment, api_of
from tests.doubles.targets import targets_of

pytestmark = pytest.mark.anyio


def entry(number: int, **more) -> dict:
    known = {"kind": "Completion", "udfType": "Query", "identifier": "messages.js:list", "logLines": []}
    return (
        known | {"timestamp": 1_700_000_000.0 + number, "executionId": f"e{number}", "requestId": f"r{number}"} | more
    )


def service(*entries: dict) -> LogService:
    deployment = ConvexDeployment(log_entries=list(entries))
    return LogService(api_of(deployment), targets_of(deployment))


async def test_the_latest_entries_are_shown_and_the_rest_is_counted():
    page = await service(*map(entry, range(10))).read(limit=3)

    assert ["r7", "r8", "r9"] == [found.request_id for found in page.entries]
    assert 7 == page.omitted


async def test_a_cursor_leads_to_what_came_later():
    logs = service(*map(entry, range(10)))

    page = await logs.read()

    assert (10, 0) == (len(page.entries), len((await logs.read(cursor=page.cursor)).entries))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"function": "mail"}, ["r1"]),
        ({"function": "api.mail.send"}, ["r1"]),
        ({"function": "MESSAGES"}, ["r0", "r2"]),
        ({"only_errors": True}, ["r2"]),
        ({"function": "mail", "only_errors": True}, []),
    ],
)
async def test_entries_are_filtered(filters, expected):
    logs = service(entry(0), entry(1, identifier="mail.js:send"), entry(2, error="Uncaught Error: no"))

    page = await logs.read(**filters)

    assert expected == [found.request_id for found in page.entries]


async def test_long_logs_are_cut_with_marks():
    logs = service(*(entry(i, logLines=["x" * 600] * 100, error="y" * 3000) for i in range(200)))

    page = await logs.read(limit=200)

    assert "r199" == page.entries[-1].request_id
    assert 200 == len(page.entries) + page.omitted
    assert len(page.model_dump_json()) < 17_000
    assert "earlier lines]" in page.entries[-1].lines[0]
    assert "more characters]" in (page.entries[-1].error or "")


@pytest.mark.parametrize(
    ("more", "step"),
    [
        ({"limit": 0}, "a `limit` in that range"),
        ({"limit": 201}, "a `limit` in that range"),
        ({"cursor": "0&x=1"}, "without a cursor"),
        ({"cursor": "-1"}, "without a cursor"),
        ({"cursor": "nan"}, "without a cursor"),
    ],
)
async def test_an_argument_out_of_range_is_refused_with_how_to_correct_that_one(more, step):
    with pytest.raises(errors.InvalidArguments) as caught:
        await service().read(**more)

    assert step in caught.value.next_step
