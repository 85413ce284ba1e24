"""Whatever E2B answers is said in errors of ours, in bounded time, and without a loop of creates."""

from __future__ import annotations

import gc
import ssl
from collections.abc import AsyncIterator

import anyio
import e2b
import httpx
import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError

from mcp_convex.domain.errors import DiskFull, SandboxBusy, SandboxLost, SettingsInvalid
from mcp_convex.domain.models import FilePath
from mcp_convex.domain.ports import Command, Sandbox
from mcp_convex.sandboxes.e2b.failures import translated
from tests.doubles.e2b.cloud import Fault
from tests.doubles.e2b.opening import open_sandbox
from tests.sandboxes.conftest import ignore, no_progress

pytestmark = pytest.mark.anyio

SCHEMA = FilePath("convex/schema.ts")
CREATE, LIST, WRITE, START = "POST /v2/sandboxes", "GET /v2/sandboxes", "POST /files", "/process.Process/Start"


@pytest.fixture
async def sandbox(request, cloud, store) -> AsyncIterator[Sandbox]:
    """A sandbox that has not been started, of a server that is impatient."""
    cloud.requests.clear()
    sandbox = open_sandbox(cloud, store, request.node.name, patience_s=1)
    yield sandbox
    await sandbox.close()
    cloud.faults.clear()
    for box in cloud.alive:
        await box.end()


@pytest.mark.parametrize(
    ("fault", "error", "creates"),
    [
        (Fault(LIST, status=401, times=9), SettingsInvalid, 0),
        (Fault(LIST, status=500, times=9), SandboxLost, 0),
        (Fault(CREATE, status=404, times=9), SettingsInvalid, 1),
        (Fault(CREATE, status=400, times=9), SettingsInvalid, 1),
        (Fault(CREATE, status=403, times=9), SettingsInvalid, 1),
        (Fault(CREATE, status=429, times=9), SandboxBusy, 4),
        (Fault(CREATE, status=503, times=9), SandboxBusy, 4),
        (Fault(CREATE, cut_after=0, times=9), SandboxLost, 2),
        (Fault(CREATE, stalls=True, times=9), SandboxLost, 2),
        (Fault(WRITE, status=507, times=9), DiskFull, 1),
        (Fault(WRITE, status=502, message="The sandbox was not found", times=9), SandboxLost, 1),
        (Fault(WRITE, status=502, message="The sandbox is running but port is not open", times=9), SandboxLost, 1),
        (Fault(WRITE, cut_after=0, times=9), SandboxLost, 1),
        (Fault(WRITE, stalls=True, times=9), SandboxLost, 1),
        (Fault(START, status=401, times=9), SettingsInvalid, 1),
        (Fault(START, status=429, times=9), SandboxBusy, 1),
        (Fault(START, status=502, message="The sandbox was not found", times=9), SandboxLost, 1),
        (Fault(START, cut_after=0, times=9), SandboxLost, 1),
        (Fault(START, cut_after=1, times=9), SandboxLost, 1),
        (Fault(START, stalls=True, times=9), SandboxLost, 1),
        (Fault(START, kills=True, times=9), SandboxLost, 1),
        (Fault("SendInput", stalls=True, times=9), SandboxLost, 1),
    ],
    ids=lambda value: f"{value.at} {value.status or ''}" if isinstance(value, Fault) else None,
)
async def test_a_failure_is_told_as_what_it_is(sandbox, cloud, fault, error, creates) -> None:
    cloud.faults.append(fault)
    with anyio.fail_after(60), pytest.raises(error) as caught:
        await sandbox.ensure(no_progress)
    assert caught.value.next_step
    assert "e2b" not in caught.value.message
    assert creates == cloud.count(CREATE)


async def test_a_wrong_key_is_told_to_the_operator_and_not_shown(cloud, store) -> None:
    with pytest.raises(SettingsInvalid, match="does not accept the API key") as caught:
        await open_sandbox(cloud, store, "wrong", key="e2b_wrong_key").ensure(no_progress)
    assert "wrong_key" not in str(caught.value)


async def test_a_brief_overload_is_waited_out(sandbox, cloud) -> None:
    cloud.faults += [Fault(CREATE, status=429, times=1), Fault(CREATE, status=503, times=1)]
    await sandbox.ensure(no_progress)
    assert 1 == len(cloud.alive)


async def test_files_are_served_from_the_hosts_copy_while_e2b_is_down(sandbox, cloud, store, request) -> None:
    await sandbox.ensure(no_progress)
    cloud.faults.append(Fault("/", status=503, times=99))
    await sandbox.write({SCHEMA: b"two"})
    assert b"two" == await sandbox.read(SCHEMA)
    assert SCHEMA in [entry.path for entry in await sandbox.list()]

    cloud.faults = [Fault("/", status=500, times=99)]
    beginner = open_sandbox(cloud, store, request.node.name)
    assert b"two" == await beginner.read(SCHEMA)
    assert [True] == ["cannot be reached" in note for note in beginner.take_notes()]


async def test_a_deadline_holds_where_the_sandbox_does_not_answer(sandbox, cloud) -> None:
    await sandbox.ensure(no_progress)
    cloud.faults.append(Fault("SendInput", stalls=True, skip=1, times=9))
    with anyio.fail_after(60), pytest.raises(SandboxLost):
        await sandbox.exec(Command(argv=["sleep", "30"], deadline_s=0.3), on_output=ignore)


async def test_a_deadline_ends_no_other_work_of_this_server(sandbox) -> None:
    await sandbox.ensure(no_progress)
    ended = await sandbox.exec(Command(argv=["sleep", "30"], deadline_s=0.2), on_output=ignore)
    assert ended.timed_out
    assert "still here" == (await sandbox.exec(Command(["printf", "still here"], 10), on_output=ignore)).output


@pytest.mark.parametrize(
    ("theirs", "error"),
    [
        (e2b.RateLimitException("429"), SandboxBusy),
        (e2b.SandboxException("no such template", status_code=404), SettingsInvalid),
        (Exception("Command ended without an end event"), SandboxLost),
        (httpx.RemoteProtocolError("cut"), SandboxLost),
        (ssl.SSLError("handshake"), SandboxLost),
        (ConnectError(Code.UNAVAILABLE, "gone"), SandboxLost),
        (TimeoutError(), SandboxLost),
    ],
)
async def test_what_the_sdk_raises_is_told_and_a_fault_of_ours_goes_through(theirs, error) -> None:
    with pytest.raises(error):
        async with translated(None):
            raise theirs
    for ours in (KeyError("name"), AttributeError("name"), TypeError("argument")):
        with pytest.raises(type(ours)):
            async with translated(None):
                raise ours


async def test_who_leaves_while_a_process_does_not_start_leaves_no_error_behind(sandbox, cloud) -> None:
    await sandbox.ensure(no_progress)
    cloud.faults.append(stalled := Fault(START, stalls=True))
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sandbox.ensure, no_progress)
            await stalled.met.wait()
            tasks.cancel_scope.cancel()
    gc.collect()  # an error that nobody has retrieved fails the test now


async def test_a_hostile_program_in_the_sandbox_is_told_as_a_lost_sandbox(sandbox, cloud) -> None:
    await sandbox.ensure(no_progress)
    [program] = cloud.alive[0].home.glob(".mcp-convex/program-*.cjs")
    for answer in (
        '{"answer": {"changed": {"../../etc/passwd": "eA=="}}}',
        '{"answer": []}',
        '{"data": [1, 2, 3]}',
        '{"open": {}}',
        "no json",
        "[1, 2]",
        "7",
    ):
        await sandbox.ensure(no_progress)
        program.write_text(f"console.log({answer!r})")
        with pytest.raises(SandboxLost):
            await sandbox.ensure(no_progress)
    assert not [path for path in (entry.path for entry in await sandbox.list()) if "passwd" in path]
