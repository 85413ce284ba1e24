"""A canary for each kind of secret, and everything driven that could repeat one: no hit anywhere."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from mcp import Client
from pydantic import SecretStr
from starlette.responses import JSONResponse, Response, StreamingResponse

from mcp_convex import logs
from mcp_convex.boundary import Effect
from mcp_convex.broker import Tuning
from mcp_convex.domain.connections import Connection, ConnectionId, Grant, OAuthFlow, Team, TeamId
from mcp_convex.domain.models import LOCAL_PRINCIPAL
from mcp_convex.domain.secrets import AccessTokenValue, AdminKeyValue, VerifierValue
from mcp_convex.server import build_server, open_services
from mcp_convex.settings import Settings, load
from mcp_convex.store import open_data_dir
from mcp_convex.tools import TOOLSETS
from tests.doubles.deployment import FakeDeployment, Fault, Lingers, fake_deployment, served
from tests.doubles.office import Browser
from tests.store.records import NOW, SOON
from tests.world import APP, World, make_settings

pytestmark = pytest.mark.anyio

SECRETS = {
    "admin key": "dev:otter-123|eyJ2MiI6ImFkbWluLUM0bjRyeS1aMSJ9",
    "OAuth token": "team:acme|eyJ2MiI6Im9hdXRoLUM0bjRyeS1aMiJ9",
    "team token": "eyJ2MiI6InRlYW0tQzRuNHJ5LVozIn0C4n4ryZ3",
    "CLI login": "eyJ2MiI6ImxvZ2luLUM0bjRyeS1aOCJ9C4n4ryZ8",
    "verifier": "C4n4ry-verifier-9f8e7d6c5b4a-Z4",
    "client secret": "C4n4ry-client-secret-0a1b2c3d-Z5",
    "env var": 'C4n4ry "env"\\value/with?odd=characters&Z6',
    "typed value": "C4n4ry-typed+value/0123\n456789==Z7\nC4n4ry",
}
CALLS: dict[str, dict[str, Any]] = {
    "connect": {},
    "get_connection": {},
    "disconnect": {"connection": "team"},
    "list_projects": {},
    "create_project": {"name": "shop"},
    "link_project": {"project": "shop"},
    "list_deployments": {},
    "list_env_vars": {},
    "set_env_vars": {"values": {"GREETING": SECRETS["env var"]}},
    "request_env_var": {"name": "OPENAI_API_KEY", "why": "to ask"},
    "unset_env_vars": {"names": ["GREETING"]},
    "set_up_auth": {"rotate": True},
    "list_files": {},
    "read_file": {"path": "convex/notes.ts"},
    "write_files": {"changes": [{"path": "convex/notes.ts", "old": "take(3)", "new": "take(4)"}]},
    "check_files": {},
    "restore_files": {},
    "push": {},
    "dev_server": {"action": "start"},
    "list_functions": {},
    "run_function": {"name": "notes:top"},
    "run_query": {"source": "return 1;"},
    "list_tables": {},
    "read_table": {"table": "notes"},
    "read_logs": {},
    "search_docs": {"query": "auth"},
}
CHANGING = {spec.name for specs in TOOLSETS.values() for spec in specs if spec.effect is not Effect.READS}
STEPS = (
    "deployment_info",
    "get_canonical_urls",
    "list_environment_variables",
    "update_environment_variables",
    "query",
    "function",
    "run_test_function",
    "shapes2",
    "stream_function_logs",
    "get_config_hashes",
    "evaluate_schema",
    "start_push",
    "wait_for_schema",
    "finish_push",
)
"""All that this server and the CLI ask of a deployment."""


def forms(secret: str) -> set[str]:
    """Return what an onlooker would know *secret* by: each way to write it, and its unguessable part alone."""
    parts = {secret, secret.rpartition("|")[2]}
    encoded = {encode(part.encode()).decode().rstrip("=") for part in parts for encode in _ENCODINGS}
    return parts | encoded | {quote(part, safe="") for part in parts} | {json.dumps(part)[1:-1] for part in parts}


_ENCODINGS = (base64.b64encode, base64.urlsafe_b64encode)


def hits(text: str | bytes) -> list[str]:
    """Return which secrets stand in *text*, in any form."""
    raw = text if isinstance(text, bytes) else text.encode()
    return [kind for kind, secret in SECRETS.items() if any(form.encode() in raw for form in forms(secret))]


def echo(*kinds: str) -> str:
    """Return those secrets in every form, as somebody would write who wants them seen."""
    return " ".join(sorted(form for kind in kinds for form in forms(SECRETS[kind])))


@dataclass(frozen=True)
class Echoes(Fault):
    """Secrets in every form, in small pieces, in the place of an answer."""

    status: int
    text: str
    content: Any = None

    async def answer(self, right, closing) -> Response:
        refusal = {"code": self.text, "message": self.text, "error": self.text, "type": "failed"}
        body = json.dumps(self.content or refusal, ensure_ascii=False)
        pieces = [body[at : at + 7].encode() for at in range(0, len(body), 7)]
        return StreamingResponse(
            pieces,
            self.status,
            {"x-convex-deprecation-message": quote(self.text)[:4000]},
            media_type="application/json",
        )


HASTY = Tuning(patience_s=0.3, first_pause_s=0.05, longest_pause_s=0.1, silence_s=1, optional_s=1, proof_s=1)
FORMS_OF_THE_KEY = echo("admin key")
THREW = {"status": "error", "errorMessage": "It threw.", "logLines": [FORMS_OF_THE_KEY]}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What this server writes to its log at its most talkative."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    logs.set_up("debug")
    written = io.StringIO()
    (ours,) = root.handlers
    assert isinstance(ours, logging.StreamHandler)
    ours.setStream(written)
    yield written
    root.handlers[:], root.level = before, level


KEPT: tuple[tuple[str, Grant, str], ...] = (
    ("OAuth token", "oauth", "team"),
    ("team token", "team_token", "typed"),
    ("CLI login", "cli_login", "login"),
)
"""Each connection's kind of token, how it came about, and its id."""


@dataclass
class Planted:
    """A server that holds every secret, and a deployment and a cloud that know them."""

    world: World
    deployment: FakeDeployment

    @property
    def settings(self) -> Settings:
        return self.world.settings

    async def drive(self, *but: str) -> str:
        """Call every tool *but* some, read every resource and prompt, and return all that was answered."""
        names = sorted({*CALLS} - {*but}, key=lambda name: name == "disconnect")
        said = [await self._answer(name) for name in names]
        resources = await self.world.client.list_resources()
        said.append(resources.model_dump_json())
        said += [await self._read(str(resource.uri)) for resource in resources.resources]
        said += [await self._read("convex://files/convex/notes.ts"), await self._read("convex://pushes/none")]
        prompts = (await self.world.client.list_prompts()).prompts
        said += [(await self.world.client.get_prompt(prompt.name)).model_dump_json() for prompt in prompts]
        return "\n".join(said)

    async def _answer(self, name: str) -> str:
        with anyio.fail_after(90):
            result = await self.world.call(name, **CALLS[name])
        return result.model_dump_json() + "".join(getattr(part, "text", "") for part in result.content)

    async def _read(self, uri: str) -> str:
        try:
            return (await self.world.client.read_resource(uri)).model_dump_json()
        except Exception as exc:  # noqa: BLE001 - an error's text is what may not hold a secret
            return f"{exc!r} {exc}"

    async def events(self) -> list[dict[str, Any]]:
        """Return what the audit has kept."""
        (content,) = (await self.world.client.read_resource("convex://audit")).contents
        return json.loads(content.text)["events"]

    def files(self) -> Iterator[tuple[Path, bytes]]:
        """Yield every file of the data directory and of the workspace, but for its packages."""
        for folder in (self.settings.data_dir, self.settings.workspace):
            for path in folder.rglob("*"):
                if "node_modules" not in path.parts and path.is_file() and not path.is_symlink():
                    yield path, path.read_bytes()


@asynccontextmanager
async def planted(folder: Path, era: str = "auto") -> AsyncIterator[Planted]:
    async with fake_deployment() as deployment, served(_echoing_cloud, lambda: None) as cloud:
        deployment.admin_key = SECRETS["admin key"]
        deployment.env_vars = {"CANARY": SECRETS["env var"]}
        settings = _settings(folder, cloud)
        await _plant(settings, deployment)
        for path, text in APP.items():
            (settings.workspace / path).write_text(text)
        async with Client(build_server(settings, tuning=HASTY), mode=era) as client:
            yield Planted(World(client=client, settings=settings, era=era), deployment)


async def _echoing_cloud(scope, receive, send) -> None:
    """Answer whatever Convex's cloud is asked with a refusal that repeats all secrets."""
    text = echo(*SECRETS)
    await JSONResponse({"code": text, "message": text}, 400)(scope, receive, send)


def _settings(folder: Path, cloud: str) -> Settings:
    ours = make_settings(folder)
    places = {"workspace": str(ours.workspace), "data_dir": str(ours.data_dir), "pages_port": str(ours.pages_port)}
    flags = {**places, "toolsets": ",".join(TOOLSETS)}
    application = {"CONVEX_OAUTH_CLIENT_ID": "app", "CONVEX_OAUTH_CLIENT_SECRET": SECRETS["client secret"]}
    return load(flags, {"PROVISION_HOST": cloud, "DASHBOARD_HOST": cloud, **application})


async def _plant(settings: Settings, deployment: FakeDeployment) -> None:
    async with open_services(settings) as services:
        await services.targets.link(deployment.url, AdminKeyValue(SecretStr(SECRETS["admin key"])))
    async with open_data_dir(settings.data_dir) as store:
        for kind, grant, id_ in KEPT:
            token = AccessTokenValue(SecretStr(SECRETS[kind]))
            await store.connections.put_token(LOCAL_PRINCIPAL, _connection(id_, grant), token)
        flow = OAuthFlow(
            state="state",
            connection=ConnectionId("team"),
            browser="0" * 64,
            redirect_uri="http://localhost/callback",
            expires_at=SOON,
        )
        await store.pages.add_flow(LOCAL_PRINCIPAL, flow, VerifierValue(SecretStr(SECRETS["verifier"])))


def _connection(id_: str, grant: Grant) -> Connection:
    team = Team(id=TeamId(1), slug="acme", name="Acme")
    return Connection(id=ConnectionId(id_), scope="team", grant=grant, state="connected", team=team, started_at=NOW)


def test_every_tool_is_driven():
    assert {spec.name for specs in TOOLSETS.values() for spec in specs} == CALLS.keys()


def test_a_hit_is_seen_in_every_form():
    for kind, secret in SECRETS.items():
        assert [kind] == hits(f"x{base64.b64encode(secret.encode()).decode()}y")
        assert kind in hits(json.dumps({"deep": [secret]}))
        assert kind in hits(quote(f"a={secret}", safe=""))


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_nothing_repeats_a_secret_while_all_goes_well(tmp_path, log, era):
    async with planted(tmp_path, era) as house:
        said = await house.drive()

        assert [] == hits(said)
        assert [] == hits(log.getvalue())
        assert log.getvalue()
        assert CHANGING == {event["tool"] for event in await house.events()}
        assert {} == {path: found for path, content in house.files() if (found := hits(content))}
    assert {} == {path: found for path, content in house.files() if (found := hits(content))}


ROUNDS = ((200, STEPS), (400, STEPS), (200, STEPS[1:]), (400, STEPS[1:]), (403, STEPS[1:]), (400, STEPS[-3:]))
"""With which status which steps are answered: all, all but the deployment's type, the push alone."""


async def test_nothing_repeats_a_secret_that_convex_repeats(tmp_path, log):
    """Convex knows the key it was sent; of the env vars this server knows only once a push has begun."""
    async with planted(tmp_path) as house:
        for status, steps in ROUNDS:
            house.deployment.mend()
            for step in steps:
                known = ("admin key", "env var") if step in STEPS[-2:] else ("admin key",)
                house.deployment.always(step, Echoes(status, echo(*known)))
            said = await house.drive("check_files", "disconnect")  # neither asks the deployment

            assert [] == hits(said), (status, steps)
            assert [] == hits(log.getvalue()), (status, steps)
        assert {} == {path: found for path, content in house.files() if (found := hits(content))}


ENTRY = {
    "kind": "Completion",
    "udfType": "Query",
    "identifier": "notes:top",
    "logLines": [FORMS_OF_THE_KEY],
    "timestamp": 1.0,
    "executionTime": 0.1,
    "success": None,
    "error": FORMS_OF_THE_KEY,
    "requestId": "r",
    "executionId": "e",
}
PAGE = {"page": [{"text": FORMS_OF_THE_KEY}], "isDone": True, "continueCursor": FORMS_OF_THE_KEY}
OUTPUTS: tuple[tuple[str, Any, str], ...] = (
    ("function", {**THREW, "errorMessage": FORMS_OF_THE_KEY}, "run_function"),
    ("function", {**THREW, "status": "success", "value": {"deep": [FORMS_OF_THE_KEY]}}, "run_function"),
    ("run_test_function", {**THREW, "errorData": {FORMS_OF_THE_KEY: 1}}, "run_query"),
    ("query", {**THREW, "errorMessage": FORMS_OF_THE_KEY}, "list_tables"),
    ("query", {"status": "success", "value": PAGE, "logLines": []}, "read_table"),
    ("stream_function_logs", {"entries": [ENTRY], "newCursor": 1.0}, "read_logs"),
)


async def test_a_key_in_the_apps_own_output_is_masked(tmp_path, log):
    """The app's words pass as data, but for the key that opened the deployment."""
    async with planted(tmp_path) as house:
        await house.world.content("push")
        for step, content, tool in OUTPUTS:
            house.deployment.mend()
            house.deployment.always(step, Echoes(200, echo("admin key"), content))
            answer = await house.world.call(tool, **CALLS[tool])

            assert house.deployment.asked(step), (step, answer)
            assert [] == hits(answer.model_dump_json()), (step, tool)
    assert [] == hits(log.getvalue())


async def test_no_page_repeats_a_secret(tmp_path, log):
    async with planted(tmp_path) as house, Browser(f"http://localhost:{house.settings.pages_port}") as browser:
        asked = await house.world.content("request_env_var", **CALLS["request_env_var"])
        connect = await house.world.content("connect")
        house.deployment.script(
            "update_environment_variables", Echoes(400, echo("typed value")), Echoes(500, echo("typed value"))
        )
        answers = [await browser.get(asked["link"]), await browser.get(connect["link"])]
        answers.append(await browser.submit(asked["link"], way="value", value=SECRETS["typed value"]))
        answers.append(await browser.get(asked["link"]))
        answers.append(await browser.submit(connect["link"], way="team_token", token=SECRETS["team token"]))
        said = (await house.world.call("list_env_vars")).model_dump_json()

        for answer in answers:
            assert [] == hits(answer.text + str(answer.headers) + str(answer.url)), answer.text
        assert [] == hits(said + log.getvalue())
        assert {} == {path: found for path, content in house.files() if (found := hits(content))}


async def test_no_process_of_a_push_holds_a_secret(tmp_path):
    """Its command lines, its environments and its files, while the deployment keeps the CLI waiting."""
    seen: dict[str, bytes] = {}
    async with planted(tmp_path) as house:
        house.deployment.always("get_config_hashes", Lingers(0.5))
        house.deployment.always("start_push", Lingers(0.5))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_watch, tmp_path, seen)
            pushed = await house.world.content("push")
            tasks.cancel_scope.cancel()

    assert "pushed" == pushed["outcome"]
    assert any(b"--admin-key" in told for told in seen.values())
    assert {} == {what: found for what, told in seen.items() if (found := hits(told))}


async def _watch(folder: Path, seen: dict[str, bytes]) -> None:
    """Keep what the processes that work below *folder* show of themselves, and what they write."""
    while True:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                told = {name: (process / name).read_bytes() for name in ("cmdline", "environ")}
            except OSError:
                continue
            if str(folder).encode() in b"".join(told.values()):
                seen |= {f"{process}/{name}": text for name, text in told.items() if text}
        for path in (folder / "data").rglob("*"):
            try:
                seen[str(path)] = path.read_bytes() if path.is_file() else b""
            except OSError:
                continue
        await anyio.sleep(0.05)
