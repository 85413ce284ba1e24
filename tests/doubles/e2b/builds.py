"""Building templates at the loopback E2B: what was asked for is kept, and nothing is built."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.doubles.e2b.box import BoxTemplate


class Builds:
    """The templates of an account. `refused` is what the next build ends with."""

    def __init__(self, templates: dict[str, BoxTemplate], packages: Path) -> None:
        self.asked: dict[str, Any] = {}
        self.uploads: list[bytes] = []
        self.refused: str | None = None
        self._templates = templates
        self._packages = packages
        self._name = ""

    async def answer(self, request: Request, path: list[str]) -> Response | None:  # noqa: PLR0911 - one a route
        """Answer a request for *path*, without its version; None where it is no affair of templates."""
        match request.method, path:
            case "POST", ["templates"]:
                self._name = (await request.json())["name"]
                asked = {"templateID": "tpl1", "buildID": "b1", "public": False}
                return JSONResponse({**asked, "names": [self._name], "tags": [], "aliases": [self._name]}, 202)
            case "GET", ["templates", "aliases", alias]:
                name = alias.partition(":")[0]  # the API looks at the name alone
                names = {known.partition(":")[0] for known in self._templates}
                known = {"templateID": "tpl1", "public": False}
                unknown = {"code": 404, "message": "no such template"}
                return JSONResponse(known) if name in names else JSONResponse(unknown, 404)
            case "GET", ["templates", name, "tags"]:
                tags = [known.partition(":")[2] for known in self._templates if known.startswith(f"{name}:")]
                at = {"buildID": str(uuid.UUID(int=1)), "createdAt": "2026-11-01T00:00:00Z"}
                return JSONResponse([{"tag": tag, **at} for tag in tags])
            case "GET", ["templates", _, "files", digest]:
                return JSONResponse({"present": False, "url": f"{request.base_url}upload/{digest}"}, 201)
            case "PUT", ["upload", _]:
                self.uploads.append(await request.body())
                return Response()
            case "POST", ["templates", _, "builds", _]:
                self.asked = await request.json()
                if self.refused is None:
                    self._templates[self._name] = BoxTemplate(self._name, self._packages)
                return Response(status_code=202)
            case "GET", ["templates", _, "builds", _, "status"]:
                return self._status(int(request.query_params.get("logsOffset", 0)))
            case _:
                return None

    def _status(self, offset: int) -> Response:
        entry = {"timestamp": "2026-11-01T00:00:00Z", "level": "info", "message": "building"}
        status = {
            "logs": [],
            "logEntries": [entry][offset:],
            "templateID": "tpl1",
            "buildID": "b1",
            "status": "error" if self.refused else "ready",
        }
        return JSONResponse(status | ({"reason": {"message": self.refused}} if self.refused else {}))
