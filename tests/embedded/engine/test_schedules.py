"""Scheduled functions, crons and file storage: what happens later, and what is kept outside the documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.engine_client import EngineClient, EngineRefused, running_engine
from tests.embedded.engine.conftest import go_live

pytestmark = pytest.mark.anyio
AN_HOUR_MS = 3_600_000


async def test_a_scheduled_mutation_runs_once_and_says_so(engine: EngineClient) -> None:
    job = await engine.run("jobs:later", {"delay": 0, "body": "later"})

    entry = (await engine.event("log", identifier="notes:addInternally"))["entry"]
    assert "Scheduler" == entry["caller"]
    assert {"kind": "success"} == await engine.run("jobs:state", {"id": job})
    assert ["later"] == [note["body"] for note in await engine.documents("notes")]


async def test_a_scheduled_function_outlives_a_kill(deployment: Path) -> None:
    async with running_engine(deployment) as engine:
        await go_live(engine)
        await engine.run("jobs:later", {"delay": 400, "body": "survived"})
        await engine.kill()

    async with running_engine(deployment) as engine:
        await go_live(engine)
        await engine.event("log", identifier="notes:addInternally")
        assert ["survived"] == [note["body"] for note in await engine.documents("notes")]


async def test_a_canceled_function_never_runs(engine: EngineClient) -> None:
    job = await engine.run("jobs:later", {"delay": AN_HOUR_MS, "body": "never"})
    await engine.run("jobs:cancel", {"id": job})

    assert {"kind": "canceled"} == await engine.run("jobs:state", {"id": job})


async def test_a_scheduled_function_that_throws_has_failed(engine: EngineClient) -> None:
    job = await engine.run("jobs:failLater")

    await engine.event("log", identifier="notes:innerThrows")
    await engine.request("quiesce", deadlineMs=1000)
    [found] = (await engine.request("system", name="scheduled", args={}))["jobs"]
    assert (job, "failed") == (found["_id"], found["state"]["kind"])
    assert "inner failed" in found["state"]["error"]
    assert [] == await engine.documents("notes")


async def test_what_a_mutation_scheduled_is_undone_when_it_throws(engine: EngineClient) -> None:
    await engine.failure("jobs:scheduleThenThrow")

    assert [] == (await engine.request("system", name="scheduled", args={}))["jobs"]


async def test_an_action_cut_off_by_a_restart_has_failed(deployment: Path) -> None:
    async with running_engine(deployment) as engine:
        await go_live(engine)
        job = await engine.run("jobs:hangLater")
        while (await engine.run("jobs:state", {"id": job}))["kind"] == "pending":
            await engine.event("commit", tables=[["", "_scheduled_functions"]])
        assert {"idle": False} == await engine.request("quiesce", deadlineMs=50)
        await engine.kill()

    async with running_engine(deployment) as engine:
        await go_live(engine)
        assert "failed" == (await engine.run("jobs:state", {"id": job}))["kind"]


async def test_crons_run_and_keep_their_time_across_restarts(deployment: Path) -> None:
    async with running_engine(deployment) as engine:
        await go_live(engine)
        await engine.event("log", identifier="jobs:tick", caller="Cron")
        before = (await engine.request("system", name="crons", args={}))["crons"]
        await engine.kill()

    by_name = {cron["name"]: cron for cron in before}
    assert AN_HOUR_MS == by_name["every hour from now"]["nextRun"] - by_name["every hour from now"]["lastRun"]
    assert 6.5 * AN_HOUR_MS == by_name["each morning"]["nextRun"] % (24 * AN_HOUR_MS)
    async with running_engine(deployment) as engine:
        await go_live(engine)
        assert before == (await engine.request("system", name="crons", args={}))["crons"]
        assert 1 == len(await engine.documents("points"))


async def upload(engine: EngineClient, deployment: Path, content: bytes, **arguments: str) -> dict[str, object]:
    path = deployment / "data" / "incoming" / "received"
    path.write_bytes(content)
    return dict(await engine.request("file.put", path=str(path), contentType="text/plain", **arguments))


async def test_an_uploaded_file_is_stored_and_served(engine: EngineClient, deployment: Path) -> None:
    url = await engine.run("files:uploadUrl")
    stored = await upload(engine, deployment, b"hello", token=url.partition("?token=")[2])

    assert "hello" == await engine.run("files:read", {"id": stored["storageId"]})
    metadata = await engine.run("files:metadata", {"id": stored["storageId"]})
    assert {"_id", "_creationTime", "contentType", "sha256", "size"} == set(metadata)
    link = await engine.run("files:url", {"id": stored["storageId"]})
    found = await engine.request("file.get", name=link.rpartition("/")[2])
    assert (b"hello", "text/plain") == ((deployment / found["path"]).read_bytes(), found["contentType"])


async def test_an_action_stores_and_a_mutation_deletes(engine: EngineClient) -> None:
    stored = await engine.run("files:store", {"text": "short"})
    await engine.run("files:remove", {"id": stored})

    assert None is await engine.run("files:url", {"id": stored})
    assert [] == (await engine.request("system", name="files", args={}))["files"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [({"token": "made.up"}, "InvalidUploadToken"), ({"component": "", "sha256": "00"}, "Sha256Mismatch")],
)
async def test_an_upload_that_is_not_what_it_says_is_refused(
    engine: EngineClient, deployment: Path, arguments: dict[str, str], code: str
) -> None:
    with pytest.raises(EngineRefused) as refused:
        await upload(engine, deployment, b"x", **arguments)

    assert code == refused.value.code
    assert [] == (await engine.request("system", name="files", args={}))["files"]
