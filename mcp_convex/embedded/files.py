"""File storage over HTTP: uploads with a token, downloads by name, in ranges where asked for."""

from __future__ import annotations

import secrets
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from mcp_convex.embedded import durable
from mcp_convex.embedded.deployment import Deployment
from mcp_convex.embedded.engine import EngineRefused
from mcp_convex.embedded.refusals import Refusal, bad_request, not_found

MAX_FILE_BYTES = 1024 * 1024 * 1024


class FileRoutes:
    """Bytes lie in the engine's folder; the engine says which are whose."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self._deployment = deployment
        self._folder = folder

    def routes(self) -> list[Route]:
        """Return the routes of file storage."""
        return [
            Route("/api/storage/upload", self.upload, methods=["POST"]),
            Route("/api/storage/{name}", self.download),
        ]

    async def upload(self, request: Request) -> Response:
        """Store the request's body, for who has a token of `generateUploadUrl`."""
        file = await self._received(request)
        try:
            stored = await self._deployment.call(
                "file.put",
                path=str(file.relative_to(self._folder)),
                contentType=request.headers.get("content-type"),
                sha256=_digest(request.headers.get("digest")),
                token=request.query_params.get("token", ""),
            )
        except EngineRefused as exc:
            raise bad_request(exc.code, exc.message) from exc
        finally:
            file.unlink(missing_ok=True)
        return JSONResponse({"storageId": stored["storageId"]})

    async def download(self, request: Request) -> Response:
        """Answer with a stored file."""
        try:
            found = await self._deployment.call("file.get", name=request.path_params["name"])
        except EngineRefused as exc:
            raise not_found("There is no such file.") from exc
        return FileResponse(
            self._folder / found["path"],
            media_type=found["contentType"] or "application/octet-stream",
            headers={"Cache-Control": "private, max-age=2592000", "X-Content-Type-Options": "nosniff"},
        )

    async def _received(self, request: Request) -> Path:
        file = durable.make_folder(self._folder / "data" / "incoming") / secrets.token_hex(16)
        size = 0
        async with await anyio.open_file(file, "wb") as incoming:
            async for chunk in request.stream():
                size += len(chunk)
                if size > MAX_FILE_BYTES:
                    file.unlink()
                    raise Refusal(413, "RequestTooLarge", f"A file has at most {MAX_FILE_BYTES} bytes.")
                await incoming.write(chunk)
        return file


def _digest(header: str | None) -> str | None:
    algorithm, _, value = (header or "").partition("=")
    return value if algorithm.lower() == "sha-256" else None
