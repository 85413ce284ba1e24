"""Types that are checked beside the CLI: the gate lets nothing go live before they are known to fit."""

from __future__ import annotations

import anyio
import pytest

from tests.doubles.deployment import Answers

pytestmark = pytest.mark.anyio


async def started(cli):
    await cli.canonical_urls()
    await cli.config_hashes()
    await cli.start_push()


async def test_nothing_goes_on_before_the_types_are_known_to_fit(opened, deployment):
    known = anyio.Event()

    async def types() -> bool:
        await known.wait()
        return True

    async with opened(types=types) as cli, anyio.create_task_group() as tasks:
        await started(cli)
        tasks.start_soon(cli.wait_for_schema)
        with anyio.move_on_after(0.2):
            await anyio.sleep_forever()
        assert [] == deployment.asked("wait_for_schema")
        known.set()
    assert 1 == len(deployment.asked("wait_for_schema"))


async def test_a_push_whose_types_fit_is_live_and_they_are_asked_for_once(opened, deployment):
    asked = []

    async def types() -> bool:
        asked.append(True)
        return True

    deployment.script("wait_for_schema", Answers({"type": "inProgress", "components": {}}))
    async with opened(types=types) as cli:
        await started(cli)
        waits = [(await cli.wait_for_schema()).json()["type"] for _ in range(2)]
        await cli.finish_push()
        verdict = cli.session.verdict()

    assert ["inProgress", "complete"] == waits
    assert verdict.live
    assert [True] == asked
    assert ["bundling", "starting", "type check", "schema", "finishing", "done"] == cli.stages


@pytest.mark.parametrize("purpose", ["push", "preview"])
async def test_types_that_do_not_fit_end_it_and_the_compiler_has_the_word(opened, deployment, purpose):
    async def types() -> bool:
        return False

    with anyio.fail_after(60):
        async with opened(types=types, purpose=purpose) as cli, anyio.create_task_group() as tasks:
            await started(cli)
            tasks.start_soon(cli.wait_for_schema)
            await cli.session.settled()
            tasks.start_soon(cli.finish_push)
            verdict = cli.session.verdict()
            tasks.cancel_scope.cancel()

    assert (False, False, None, "type check") == (verdict.live, verdict.stopped, verdict.failure, verdict.reached)
    assert [] == deployment.asked("wait_for_schema") + deployment.asked("finish_push")


async def test_the_cli_is_not_answered_before_its_sources_are_in_place(opened, deployment):
    staged = anyio.Event()

    async def in_place() -> bool:
        await staged.wait()
        return True

    async with opened(staged=in_place) as cli, anyio.create_task_group() as tasks:
        tasks.start_soon(cli.canonical_urls)
        with anyio.move_on_after(0.2):
            await anyio.sleep_forever()
        assert [] == deployment.seen
        staged.set()
    assert 1 == len(deployment.seen)


async def test_a_cli_whose_sources_never_come_is_refused(opened, deployment):
    async def in_place() -> bool:
        return False

    async with opened(staged=in_place) as cli:
        refused = await cli.canonical_urls()
    assert (403, "PushEnded") == (refused.status_code, refused.json()["code"])
    assert [] == deployment.seen
