"""A chat backend that does not speak MCP: it calls the HTTP API of a hosted server, and sends its person to a page."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.doubles.cloud import approve
from tests.doubles.hosting import Hosted
from tests.doubles.office import Browser


async def call(
    host: Hosted, token: str | None, path: str, body: object = None, query: str = "", **headers: str
) -> httpx2.Response:
    """Call an operation: a POST, but for the status."""
    method = "GET" if path == "status" else "POST"
    async with host.http(token, **headers) as http:
        return await http.request(method, f"{host.origin}/api/convex/{path}{query}", json=body)


async def said(host: Hosted, token: str, path: str, body: object = None, query: str = "") -> dict[str, Any]:
    """Return what an operation answers that goes well."""
    answer = await call(host, token, path, body, query)
    assert 200 == answer.status_code, answer.text
    return answer.json()


async def code(
    host: Hosted, token: str | None, path: str, body: object = None, query: str = "", **headers: str
) -> tuple[int, str]:
    """Return the status and code of a problem, which has to say what to do."""
    answer = await call(host, token, path, body, query, **headers)
    assert "application/problem+json" == answer.headers["content-type"], answer.text
    problem = answer.json()
    assert problem["next_step"]
    assert answer.status_code == problem["status"]
    return problem["status"], problem["code"]


async def agree(browser: Browser, link: str) -> httpx2.Response:
    """Do what a person does on the page at *link*, and return what they see in the end."""
    answer = await browser.submit(link, way="oauth")
    return await browser.get(await approve(answer.headers["location"], "acme"), follow_redirects=True)
