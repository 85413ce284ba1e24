"""Each template is written in one call, pushed, and does what it says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from mcp_convex.services.templates import NAMES
from tests.doubles.outside import service_that_says
from tests.resources import pages
from tests.resources.workspaces import world_in
from tests.world import World

pytestmark = pytest.mark.anyio

FIRST_PAGE = {"numItems": 10, "cursor": None}


async def run(world: World, name: str, /, **args: Any) -> Any:
    return (await world.content("run_function", name=name, args=args))["value"]


async def refused(world: World, name: str, /, **args: Any) -> str:
    """Return what the function *name*, which must fail, says."""
    result = await world.call("run_function", name=name, args=args)
    assert result.is_error, result.structured_content
    return result.structured_content["error"]["message"]


@asynccontextmanager
async def pushed(folder: Path, template: str, **env: str) -> AsyncIterator[World]:
    async with world_in(folder) as world:
        written = await world.content("write_files", template=template)
        assert {found["code"] for found in written["diagnostics"]} <= {"env_in_auth", "env_needed"}  # not set yet
        if env:
            await world.content("set_env_vars", values=env)
        await world.content("push")
        yield world


async def urls(world: World) -> tuple[str, str]:
    """Return where the deployment's functions are called, and where its HTTP actions answer."""
    source = "return [process.env.CONVEX_CLOUD_URL, process.env.CONVEX_SITE_URL];"
    cloud, site = (await world.content("run_query", source=source))["value"]
    return cloud, site


@dataclass(frozen=True)
class Person:
    """Somebody who calls functions as the app's clients do."""

    url: str
    authorization: str | None = None

    async def call(self, kind: str, name: str, /, **args: Any) -> Any:
        answer = await self._post(kind, name, args)
        assert "success" == answer["status"], answer
        return answer["value"]

    async def error(self, kind: str, name: str, /, **args: Any) -> Any:
        """Return the data of the error that the function *name* throws."""
        return (await self._post(kind, name, args))["errorData"]

    async def _post(self, kind: str, name: str, args: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": self.authorization} if self.authorization else {}
        async with httpx2.AsyncClient(base_url=self.url, timeout=30) as http:
            answer = await http.post(f"/api/{kind}", json={"path": name, "args": args}, headers=headers)
        found: dict[str, Any] = answer.json()
        return found


def acting_as(world: World, url: str, subject: str) -> Person:
    """Return somebody for whom the deployment's administrator vouches."""
    (key,) = world.settings.data_dir.glob("embedded/*/admin-key")
    identity = {"subject": subject, "issuer": "https://issuer.test", "email": f"{subject}@example.com"}
    encoded = base64.b64encode(json.dumps(identity).encode()).decode()
    return Person(url, f"Convex {key.read_text().strip()}:{encoded}")


async def test_chat(tmp_path):
    async with pushed(tmp_path, "chat") as world:
        channel = await run(world, "channels:create", name="General ")
        assert channel == await run(world, "channels:create", name="general")
        for body in ("one", "two"):
            await run(world, "messages:send", channelId=channel, author="ada", body=body)
        page = await run(world, "messages:list", channelId=channel, paginationOpts=FIRST_PAGE)

        assert ["two", "one"] == [message["body"] for message in page["page"]]
        assert "bad_message" in await refused(world, "messages:send", channelId=channel, author="ada", body=" ")


async def test_tasks(tmp_path):
    async with pushed(tmp_path, "tasks") as world:
        first, second = [await run(world, "tasks:add", title=title, dueAt=due) for title, due in (("b", 2), ("a", 1))]
        assert ["a", "b"] == [task["title"] for task in await run(world, "tasks:list", isDone=False)]
        for _ in range(2):
            await run(world, "tasks:setDone", id=first, isDone=True)
        assert 1 == await run(world, "tasks:countOpen")
        for id_ in (first, second, second):
            await run(world, "tasks:remove", id=id_)

        assert 0 == await run(world, "tasks:countOpen")


async def test_convex_auth(tmp_path):
    async with world_in(tmp_path) as world:
        await world.content("write_files", template="convex_auth")
        await world.content("set_up_auth", site_url="http://localhost:5173")
        await world.content("push")
        cloud, _ = await urls(world)
        stranger = Person(cloud)
        ada, bob = [await signed_up(stranger, name) for name in ("ada", "bob")]
        note = await ada.call("mutation", "notes:add", text="mine")

        assert "ada@example.com" == (await ada.call("query", "users:me"))["email"]
        assert ["mine"] == [each["text"] for each in await ada.call("query", "notes:list")]
        assert [] == await bob.call("query", "notes:list")
        assert {"code": "no_such_note"} == await bob.error("mutation", "notes:remove", id=note)
        assert {"code": "unauthenticated"} == await stranger.error("query", "notes:list")
        assert await stranger.call("query", "users:me") is None


async def signed_up(stranger: Person, name: str) -> Person:
    params = {"email": f"{name}@example.com", "password": "correct horse", "flow": "signUp"}
    answer = await stranger.call("action", "auth:signIn", provider="password", params=params)
    return Person(stranger.url, f"Bearer {answer['tokens']['token']}")


async def test_clerk(tmp_path):
    async with pushed(tmp_path, "clerk", CLERK_JWT_ISSUER_DOMAIN="https://verb-noun-00.clerk.accounts.dev") as world:
        cloud, _ = await urls(world)
        ada = acting_as(world, cloud, "ada")
        assert await ada.call("query", "users:me") is None
        assert {"code": "unauthenticated"} == await ada.error("mutation", "users:setStatus", status="away")
        assert await ada.call("mutation", "users:store") == await ada.call("mutation", "users:store")
        await ada.call("mutation", "users:setStatus", status="away")

        me = await ada.call("query", "users:me")
        assert ("ada@example.com", "away") == (me["name"], me["status"])
        assert {"code": "unauthenticated"} == await Person(cloud).error("mutation", "users:store")


async def test_file_upload(tmp_path):
    async with pushed(tmp_path, "file_upload") as world:
        image, text = [await uploaded(world, content_type) for content_type in ("image/png", "text/plain")]
        file = await run(world, "files:add", storageId=image, name="a.png")
        assert file == await run(world, "files:add", storageId=image, name="again.png")
        assert "not_a_small_image" in await refused(world, "files:add", storageId=text, name="a.txt")
        (listed,) = await run(world, "files:list")
        async with httpx2.AsyncClient() as browser:
            assert b"bytes" == (await browser.get(listed["url"])).content
        assert 0 == await run(world, "files:removeStrays", cursor=None)
        await run(world, "files:remove", id=file)

        assert [] == await run(world, "files:list")


async def uploaded(world: World, content_type: str) -> str:
    async with httpx2.AsyncClient() as browser:
        url = await run(world, "files:uploadUrl")
        answer = await browser.post(url, content=b"bytes", headers={"Content-Type": content_type})
    return str(answer.json()["storageId"])


async def test_webhooks(tmp_path):
    async with pushed(tmp_path, "webhooks") as world:
        cloud, site = await urls(world)
        await set_secret(world, cloud, "WEBHOOK_SECRET", "shared")
        event = json.dumps({"id": "evt_1", "type": "ping"})
        now, long_ago = f"{time.time():.0f}", "1000000000"

        assert [204, 204] == [await delivered(site, event, now, "shared") for _ in range(2)]
        assert [401, 401] == [await delivered(site, event, at, key) for at, key in ((now, "x"), (long_ago, "shared"))]
        assert [400, 400] == [await delivered(site, text, now, "shared") for text in ("no JSON", "[]")]
        assert [("evt_1", "processed")] == await settled(lambda: received(world), "received")


async def settled(look: Callable[[], Awaitable[list[Any]]], waiting: str) -> list[Any]:
    """Return what *look* finds once nothing of it is *waiting*: what a mutation schedules runs after it."""
    with anyio.fail_after(60):
        while True:
            found = await look()
            if waiting not in str(found):
                return found
            await anyio.sleep(0.02)


async def delivered(site: str, event: str, at: str, secret: str) -> int:
    """Deliver *event* and return the status of the answer."""
    signature = hmac.new(secret.encode(), f"{at}.{event}".encode(), hashlib.sha256).hexdigest()
    headers = {"x-webhook-timestamp": at, "x-webhook-signature": signature}
    async with httpx2.AsyncClient() as sender:
        return (await sender.post(f"{site}/webhook", content=event, headers=headers)).status_code


async def received(world: World) -> list[tuple[str, str]]:
    documents = (await world.content("read_table", table="events"))["documents"]
    return [(document["eventId"], document["state"]) for document in documents]


async def test_crons(tmp_path):
    async with pushed(tmp_path, "crons") as world:
        for path in ("/", "/prices"):
            await run(world, "visits:add", path=path)
        today = datetime.now(UTC).date().isoformat()
        for _ in range(2):
            await run(world, "days:close", day=today)
        await run(world, "days:close")

        assert [2, 0] == [day["visits"] for day in await run(world, "days:latest")]
        assert 0 == await run(world, "visits:removeOld")


async def test_ai_action(tmp_path):
    completion = json.dumps({"choices": [{"message": {"role": "assistant", "content": "Four."}}]})
    async with (
        service_that_says(completion) as url,
        pushed(tmp_path, "ai_action", OPENAI_BASE_URL=url) as world,
    ):
        await run(world, "questions:ask", thread="a", text="What is two and two?")
        assert ["failed"] == await settled(lambda: answers(world, "a"), "waiting")  # no key is set
        cloud, _ = await urls(world)
        await set_secret(world, cloud, "OPENAI_API_KEY", "not a real key")
        await run(world, "questions:ask", thread="b", text="What is two and two?")

        assert ["Four."] == await settled(lambda: answers(world, "b"), "waiting")


async def answers(world: World, thread: str) -> list[str]:
    """Return a thread's answers, or how the questions stand."""
    return [each["answer"] or each["state"] for each in await run(world, "questions:list", thread=thread)]


async def set_secret(world: World, cloud: str, name: str, value: str) -> None:
    """Do what the page does on which a person types a secret."""
    (key,) = world.settings.data_dir.glob("embedded/*/admin-key")
    headers = {"Authorization": f"Convex {key.read_text().strip()}"}
    async with httpx2.AsyncClient(base_url=cloud, headers=headers) as admin:
        body = {"changes": [{"name": name, "value": value}]}
        (await admin.post("/api/v1/update_environment_variables", json=body)).raise_for_status()


async def test_paginated_feed(tmp_path):
    async with pushed(tmp_path, "paginated_feed") as world:
        ids = [await run(world, "posts:publish", author=name, body="Hello!") for name in ("ada", "bob", "ada")]
        first = await run(world, "posts:feed", paginationOpts={"numItems": 2, "cursor": None})
        rest = await run(world, "posts:feed", paginationOpts={"numItems": 2, "cursor": first["continueCursor"]})
        assert ids[::-1] == [post["_id"] for post in (*first["page"], *rest["page"])]
        assert [True, False, True] == [await run(world, "posts:toggleLike", postId=ids[1], by="eve") for _ in range(3)]

        of_bob = await run(world, "posts:feed", author="bob", paginationOpts=FIRST_PAGE)
        assert [("bob", 1)] == [(post["author"], post["likes"]) for post in of_bob["page"]]


async def test_presence(tmp_path):
    async with pushed(tmp_path, "presence") as world:
        ids = [await run(world, "presence:beat", room="r", session=name, name=name.upper()) for name in ("a", "b", "a")]
        assert [(ids[2], "A"), (ids[1], "B")] == [
            (each["id"], each["name"]) for each in await run(world, "presence:list", room="r")
        ]
        await run(world, "presence:leave", room="r", session="a")
        for _ in range(2):
            await run(world, "presence:end", presentId=ids[1])

        assert [] == await run(world, "presence:list", room="r")


def test_every_template_has_a_test_and_a_title_purpose_and_steps():
    folders = {folder.name for folder in pages.TEMPLATES.iterdir()}
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}

    assert set(NAMES) == folders
    assert folders <= tested
    for folder in folders:
        title, purpose, steps = (pages.TEMPLATES / folder / "README.md").read_text().split("\n\n", 2)
        assert title.startswith("# "), folder
        assert purpose.endswith("."), folder
        assert steps.startswith("1. "), folder
