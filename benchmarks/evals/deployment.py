"""The deployment as the app's clients and its administrator reach it: over HTTP, past the server that is measured."""

from __future__ import annotations

import base64
import json
from typing import Any, cast

import httpx2

from benchmarks.evals.fitting import Misfit, shown
from mcp_convex.domain.ports import Reach

_MOST_DOCUMENTS = 1000


class Deployment:
    def __init__(self, reach: Reach, http: httpx2.AsyncClient) -> None:
        self._reach = reach
        self._http = http

    @property
    def secret(self) -> str:
        return self._reach.credential.get_secret_value()

    async def call(self, function: str, args: dict[str, Any], by: str = "admin") -> tuple[Any, str | None]:
        """Return what *function* returns, and what it throws if it does."""
        said = await self._post("/api/function", {"path": function, "args": args, "format": "json"}, self._headers(by))
        if said.get("status") == "success":
            return said.get("value"), None
        return None, f"{said.get('errorMessage')} {json.dumps(said.get('errorData'))}"

    async def documents(self, table: str) -> list[dict[str, Any]]:
        """Return a table's documents, newest first."""
        wanted = {"numItems": _MOST_DOCUMENTS, "cursor": None}
        found = await self._system("cli/tableData", table=table, order="desc", paginationOpts=wanted)
        return cast("list[dict[str, Any]]", found["page"])

    async def tables(self) -> dict[str, dict[str, Any]]:
        """Return the tables that the live schema declares."""
        active = (await self._system("frontend/getSchemas")).get("active")
        return {table["tableName"]: table for table in json.loads(active)["tables"]} if active else {}

    async def functions(self) -> dict[str, dict[str, Any]]:
        """Return the live functions by name, HTTP actions left out."""
        found = await self._system("cli/modules:apiSpec")
        return {each["identifier"].replace(".js:", ":"): each for each in found if "identifier" in each}

    async def request(self, method: str, url: str, headers: dict[str, str], body: str | None) -> httpx2.Response:
        """Ask an HTTP action; *url* is a path of the deployment's site, or a whole URL."""
        whole = url if url.startswith("http") else f"{self._reach.target.site_url}{url}"
        return await self._send(method, whole, headers=headers, content=body)

    async def _system(self, name: str, **args: Any) -> Any:
        found, thrown = await self.call(f"_system/{name}", args)
        if thrown:
            raise Misfit(f"the deployment does not tell {name}: {thrown}")
        return found

    def _headers(self, by: str) -> dict[str, str]:
        match by:
            case "anyone":
                return {}
            case "admin":
                return {"Authorization": f"Convex {self.secret}"}
            case token if token.count(".") == 2:
                return {"Authorization": f"Bearer {token}"}
            case subject:
                identity = {"subject": subject, "issuer": "https://issuer.test", "email": f"{subject}@example.com"}
                vouched = base64.b64encode(json.dumps(identity).encode()).decode()
                return {"Authorization": f"Convex {self.secret}:{vouched}"}

    async def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        answer = await self._send("POST", f"{self._reach.target.url}{path}", headers=headers, json=body)
        try:
            return cast("dict[str, Any]", answer.json())
        except ValueError:
            raise Misfit(f"{path} answers {answer.status_code}: {shown(answer.text)}") from None

    async def _send(self, method: str, url: str, **request: Any) -> httpx2.Response:
        try:
            return await self._http.request(method, url, **request)
        except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
            raise Misfit(f"{method} {url} is not answered: {type(exc).__name__}") from None
