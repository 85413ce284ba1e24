"""The code of all guidelines is pushed as one app, and each call on a page gives what the page says."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from tests.doubles.embedded import Running, running
from tests.doubles.npm import installed_from
from tests.doubles.outside import service_that_says
from tests.doubles.projects import TEMPLATE
from tests.resources import pages
from tests.resources.workspaces import PACKAGES, world_in

pytestmark = pytest.mark.anyio

LONGEST_LINE = 120
LONGEST_PAGE = 110


@dataclass
class Reader:
    """Follows a page: calls what it calls, as whom it says, and remembers what it names."""

    app: Running
    known: dict[str, str] = field(default_factory=dict)

    async def follow(self, step: pages.Step) -> None:
        gives, given = await self._do(step)
        if gives.startswith("$"):
            assert isinstance(given, str), (str(step), given)
            self.known[gives.removeprefix("$")] = given
        else:
            assert pages.matches(pages.parsed(gives), given), (str(step), given)

    async def _do(self, step: pages.Step) -> tuple[str, Any]:
        args = pages.filled(step.args, self.known)
        if step.what == "UPLOAD":
            url, content_type = args.split()
            return step.gives, await self._upload(url, content_type)
        if step.what in {"GET", "POST"}:
            return await self._request(step, args)
        answer = await self._run(step, pages.parsed(args))
        if step.gives.startswith("error "):
            return step.gives.removeprefix("error "), answer.get("errorData", answer)
        assert "success" == answer["status"], (str(step), answer)
        return step.gives, answer["value"]

    async def _run(self, step: pages.Step, args: Any) -> dict[str, Any]:
        key = self.app.key
        if step.who:
            identity = {"subject": step.who, "issuer": "https://issuer.test", "name": step.who}
            key += ":" + base64.b64encode(json.dumps(identity).encode()).decode()
        answer = await self.app.http.post(
            "/api/function", json={"path": step.what, "args": args}, headers={"Authorization": f"Convex {key}"}
        )
        found: dict[str, Any] = answer.json()
        return found

    async def _request(self, step: pages.Step, args: str) -> tuple[str, Any]:
        path, _, body = args.partition(" ")
        status, _, shown = step.gives.partition(" ")
        async with httpx2.AsyncClient(base_url=self.app.reach.target.site_url or "") as outside:
            answer = await outside.request(step.what, path, content=body)
        assert status == str(answer.status_code), str(step)
        return shown or "null", answer.text if shown else None

    async def _upload(self, url: str, content_type: str) -> str:
        async with httpx2.AsyncClient() as outside:
            answer = await outside.post(url, content=b"\x89PNG", headers={"Content-Type": content_type})
        return str(answer.json()["storageId"])


@pytest.fixture(scope="module")
async def app(tmp_path_factory, anyio_backend) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("guidelines")
    project = folder / "project"
    sources = {**pages.files(), "convex/tsconfig.json": (TEMPLATE / "convex/tsconfig.json").read_text()}
    packages = installed_from(PACKAGES)
    for path, text in sources.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    (project / "package.json").write_text((packages / "package.json").read_text())
    (project / "node_modules").symlink_to(packages / "node_modules")
    async with running(folder, {}) as deployment, service_that_says("A quiet day.") as url:
        env = {"AUTH_ISSUER_URL": "https://issuer.test", "SUMMARY_URL": url, "PAYMENTS_SECRET": "shared"}
        changes = [{"name": name, "value": value} for name, value in env.items()]
        (
            await deployment.http.post("/api/v1/update_environment_variables", json={"changes": changes})
        ).raise_for_status()
        pushed = await deployment.push(typecheck="enable")
        assert 0 == pushed.code, pushed.said
        yield deployment


@pytest.fixture
async def reader(app: Running) -> Reader:
    """A reader who knows Ada, who is signed in, and a new project of hers; Bob is signed in too."""
    reader = Reader(app)
    for line in (
        "bob users:store {} $bob",
        "ada users:store {} $user",
        'ada projects:create {"name":"Garden"} $project',
    ):
        who, what, args, gives = line.split()
        await reader.follow(pages.Step(who, what, args, gives))
    return reader


@pytest.mark.parametrize("topic", [topic for topic in pages.topics() if any(pages.steps(topic))])
async def test_each_call_gives_what_the_page_says(reader: Reader, topic: str) -> None:
    for step in pages.steps(topic):
        await reader.follow(step)


async def test_the_tests_of_the_page_on_testing_pass(app: Running) -> None:
    done = await app.node("node_modules/vitest/vitest.mjs", "run")

    assert 0 == done.code, done.out + done.said
    assert "3 passed" in done.out


@pytest.mark.parametrize("topic", pages.topics())
def test_a_page_is_short_and_says_first_what_it_is_about(topic: str) -> None:
    text = pages.text(topic)
    title, purpose, _ = text.split("\n\n", 2)

    assert title.startswith("# ")
    assert purpose.endswith(".")
    assert len(text.splitlines()) <= LONGEST_PAGE
    assert LONGEST_LINE >= max(len(line) for line in text.splitlines() if "→" not in line and "|" not in line)


async def test_the_checks_find_nothing_in_the_code_of_the_pages(tmp_path) -> None:
    async with world_in(tmp_path) as world:
        changes = [{"path": path, "content": text} for path, text in pages.files().items()]
        written = await world.content("write_files", changes=changes)

    assert {"env_in_auth", "env_needed"} >= {found["code"] for found in written["diagnostics"]}  # not set yet


def test_pages_refer_only_to_pages_that_exist() -> None:
    for topic in pages.topics():
        assert set(re.findall(r"convex://guidelines/(\w+)", pages.text(topic))) <= set(pages.topics()), topic
