"""Import and export over HTTP: uploads in parts, snapshots as a zip, and the states that the CLI watches."""

from __future__ import annotations

import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from mcp_convex.embedded import durable
from mcp_convex.embedded.access import Access
from mcp_convex.embedded.bodies import read_bytes, read_json
from mcp_convex.embedded.deployment import Deployment
from mcp_convex.embedded.engine import EngineRefused
from mcp_convex.embedded.places import Place
from mcp_convex.embedded.refusals import Refusal, bad_request, not_found
from mcp_convex.embedded.snapshots import ImportFile, ImportTerms, Snapshots
from mcp_convex.embedded.system import Args, SystemQueries
from mcp_convex.embedded.wire import integer

_KEPT_IMPORTS = 20


class TransferRoutes:
    """Each import and export is done within its request; the CLI finds the outcome by a system query."""

    def __init__(self, deployment: Deployment, access: Access, system: SystemQueries, place: Place) -> None:
        self._deployment = deployment
        self._access = access
        self._snapshots = Snapshots(deployment, place.engine)
        self._uploads = durable.make_folder(place.folder / "uploads")
        self._exports = durable.make_folder(place.folder / "exports")
        self._imports: dict[str, tuple[ImportFile | None, dict[str, Any]]] = {}
        self._latest_export: int | None = None
        system.add("cli/exports:getLatest", self._export_state)
        system.add("cli/queryImport", self._import_state)
        system.add("cli/queryImport:list", self._import_states)

    def routes(self) -> list[Route]:
        """Return the routes of import and export."""
        return [
            Route("/api/export/request/zip", self.request_export, methods=["POST"]),
            Route("/api/export/zip/{ts}", self.download_export),
            Route("/api/import/start_upload", self.start_upload, methods=["POST"]),
            Route("/api/import/upload_part", self.upload_part, methods=["POST"]),
            Route("/api/import/finish_upload", self.finish_upload, methods=["POST"]),
            Route("/api/perform_import", self.perform_import, methods=["POST"]),
        ]

    async def request_export(self, request: Request) -> Response:
        """Write a snapshot of everything; the one before it goes."""
        self._access.check_admin(request)
        ts = time.time_ns()
        with_files = request.query_params.get("includeStorage") == "true"
        await self._snapshots.write(self._exports / f"{ts}.zip", with_files=with_files)
        for older in self._exports.glob("*.zip"):
            if older.stem != str(ts):
                older.unlink()
        self._latest_export = ts
        self._told()
        return Response()

    async def download_export(self, request: Request) -> Response:
        """Answer with the snapshot taken at `ts`."""
        self._access.check_admin(request)
        ts = request.path_params["ts"]
        file = self._exports / f"{ts}.zip"
        if not ts.isdigit() or not file.exists():
            raise not_found("There is no such export.")
        # The CLI takes the name as it stands, quotes and all.
        name = f"attachment; filename=snapshot_{self._deployment.name}_{ts}.zip"
        return FileResponse(file, headers={"Content-Disposition": name}, media_type="application/zip")

    async def start_upload(self, request: Request) -> Response:
        """Answer with the token under which the parts of one file are uploaded."""
        self._access.check_admin(request)
        for forgotten in sorted(self._uploads.iterdir(), key=lambda folder: folder.stat().st_mtime)[:-_KEPT_IMPORTS]:
            shutil.rmtree(forgotten, ignore_errors=True)
        token = secrets.token_hex(16)
        (self._uploads / token).mkdir()
        return JSONResponse({"uploadToken": token})

    async def upload_part(self, request: Request) -> Response:
        """Keep one part of a file, and answer with its token."""
        self._access.check_admin(request)
        folder = self._upload(request.query_params.get("uploadToken"))
        number = request.query_params.get("partNumber", "")
        if not number.isdigit():
            raise bad_request("InvalidImport", "The part has no number.")
        (folder / number).write_bytes(await read_bytes(request))
        return JSONResponse(number)

    async def finish_upload(self, request: Request) -> Response:
        """Put the parts together, and answer with the import's id; it waits to be performed."""
        self._access.check_admin(request)
        body = await read_json(request)
        folder = self._upload(body.get("uploadToken"))
        parts = sorted(folder.iterdir(), key=lambda part: int(part.name))
        whole = folder / "0"
        with whole.open("wb") as file:
            for part in parts:
                file.write(part.read_bytes())
        import_id = secrets.token_hex(16)
        while len(self._imports) >= _KEPT_IMPORTS:
            self._imports.pop(next(iter(self._imports)))
        try:
            terms = ImportTerms.of(body.get("import"))
            found = await self._snapshots.read(whole, terms)
            waiting = {"message_to_confirm": found.summary, "require_manual_confirmation": found.replaces}
            self._imports[import_id] = (found, {"state": "waiting_for_confirmation", **waiting})
        except Refusal as refusal:
            self._imports[import_id] = (None, {"state": "failed", "error_message": refusal.message})
        self._told()
        return JSONResponse({"importId": import_id})

    async def perform_import(self, request: Request) -> Response:
        """Write what was uploaded."""
        self._access.check_admin(request)
        import_id = str((await read_json(request)).get("importId"))
        file, _ = self._imports.get(import_id, (None, {}))
        if file is None:
            raise bad_request("ImportNotFound", "There is no import that waits to be performed.")
        try:
            written = await self._snapshots.perform(file)
            state: dict[str, Any] = {"state": "completed", "num_rows_written": integer(written)}
        except EngineRefused as exc:
            state = {"state": "failed", "error_message": exc.message}
        finally:
            shutil.rmtree(file.path.parent, ignore_errors=True)
        self._imports[import_id] = (None, state)
        self._told()
        return Response()

    def _upload(self, token: Any) -> Path:
        folder = self._uploads / str(token)
        if not str(token).isalnum() or not folder.is_dir():
            raise bad_request("InvalidUploadToken", "There is no such upload.")
        return folder

    def _told(self) -> None:
        self._deployment.commits.signal.notify()

    async def _export_state(self, _: Args, __: str) -> dict[str, Any] | None:
        if self._latest_export is None:
            return None
        ts = integer(self._latest_export)
        return {"state": "completed", "start_ts": ts, "complete_ts": ts, "zip_object_key": str(self._latest_export)}

    async def _import_state(self, args: Args, _: str) -> dict[str, Any] | None:
        found = self._imports.get(str(args.get("importId")))
        return {"state": found[1]} if found else None

    async def _import_states(self, _: Args, __: str) -> list[dict[str, Any]]:
        return [{"state": state} for _, state in self._imports.values()]
