"""What runs inside a sandbox of E2B, on the server stubs that the SDK's own wheel ships: processes and files."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from e2b.envd.client_shared import ENVD_JSON_CODEC
from e2b.envd.process import process_pb as pb
from e2b.envd.process.process_connect import Process, ProcessASGIApplication
from protobuf import Oneof
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.doubles.e2b.box import Box, Command, output


def process_application(find: Callable[[Any], Box]) -> ProcessASGIApplication:
    """Return the process service; *find* returns the box that a request's headers name."""
    return ProcessASGIApplication(Processes(find), codecs=[ENVD_JSON_CODEC], compressions=())


class Processes(Process):
    def __init__(self, find: Callable[[Any], Box]) -> None:
        self._find = find

    async def list(self, request: pb.ListRequest, ctx: Any) -> pb.ListResponse:
        box = self._find(ctx.request_headers)
        return pb.ListResponse(
            processes=[pb.ProcessInfo(pid=command.pid, config=_config(command)) for command in box.commands.values()]
        )

    async def start(self, request: pb.StartRequest, ctx: Any) -> AsyncIterator[pb.StartResponse]:
        box = self._find(ctx.request_headers)
        config = request.process
        assert config is not None
        cwd = config.cwd if config.has_field("cwd") else ""
        command = await box.start(config.cmd, list(config.args), dict(config.envs), cwd)
        if not request.stdin:
            _close(command)
        yield _started(command.pid)
        async for name, data in output(command.process, box.cut):
            yield _data(name, data)
        code = -1 if box.cut.is_set() else await command.process.wait()
        box.commands.pop(command.pid, None)
        if box.state != "running":
            raise ConnectError(Code.UNAVAILABLE, "the connection to the sandbox ended before the stream completed")
        yield _ended(code)

    async def send_input(self, request: pb.SendInputRequest, ctx: Any) -> pb.SendInputResponse:
        command = self._command(request.process, ctx)
        match request.input.input if request.input else None:
            case Oneof(field="stdin", value=data):
                assert command.process.stdin is not None
                with suppress(ConnectionError):
                    command.process.stdin.write(data)
                    await command.process.stdin.drain()
        return pb.SendInputResponse()

    async def close_stdin(self, request: pb.CloseStdinRequest, ctx: Any) -> pb.CloseStdinResponse:
        _close(self._command(request.process, ctx))
        return pb.CloseStdinResponse()

    async def send_signal(self, request: pb.SendSignalRequest, ctx: Any) -> pb.SendSignalResponse:
        """Signal the command's shell, and none of its children: as envd does it."""
        with suppress(ProcessLookupError):
            os.kill(self._command(request.process, ctx).pid, signal.SIGKILL)
        return pb.SendSignalResponse()

    def _command(self, selector: pb.ProcessSelector | None, ctx: Any) -> Command:
        box = self._find(ctx.request_headers)
        match selector.selector if selector else None:
            case Oneof(field="pid", value=pid) if pid in box.commands:
                return box.commands[pid]
        raise ConnectError(Code.NOT_FOUND, "process with that pid not found")


async def upload(box: Box, request: Request) -> Response:
    """Write the files of one multipart request, in their order."""
    written = []
    async with request.form(max_files=100_000) as form:
        for part in form.getlist("file"):
            assert not isinstance(part, str)
            path = request.query_params.get("path") or part.filename or ""
            place = box.place(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(await part.read())
            written.append({"name": place.name, "path": path, "type": "file"})
    return JSONResponse(written)


def download(box: Box, request: Request) -> Response:
    place = box.place(request.query_params["path"])
    if not place.is_file():
        return JSONResponse({"code": 404, "message": "path does not exist"}, 404)
    return Response(place.read_bytes(), media_type="application/octet-stream")


def _config(command: Command) -> pb.ProcessConfig:
    return pb.ProcessConfig(cmd=command.argv[0], args=command.argv[1:], envs=dict(command.envs))


def _close(command: Command) -> None:
    assert command.process.stdin is not None
    command.process.stdin.close()


def _started(pid: int) -> pb.StartResponse:
    return pb.StartResponse(event=pb.ProcessEvent(event=Oneof("start", pb.ProcessEvent.StartEvent(pid=pid))))


def _data(name: Any, data: bytes) -> pb.StartResponse:
    chunk = pb.ProcessEvent.DataEvent(output=Oneof(name, data))
    return pb.StartResponse(event=pb.ProcessEvent(event=Oneof("data", chunk)))


def _ended(code: int) -> pb.StartResponse:
    end = pb.ProcessEvent.EndEvent(exit_code=max(code, -1), exited=code >= 0, status=f"exit status {code}")
    return pb.StartResponse(event=pb.ProcessEvent(event=Oneof("end", end)))
