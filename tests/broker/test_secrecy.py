"""Planted secrets: in no answer of the gate, in no verdict, in no log, whatever the deployment says."""

from __future__ import annotations

import base64
import json
import logging

import pytest

from tests.broker.conftest import MODULE, module
from tests.doubles.deployment import ADMIN_KEY, Answers, Says

pytestmark = pytest.mark.anyio

CANARY = 'cänary "value"\nline-two \\ 0123456789'
TAIL = ADMIN_KEY.partition("|")[2]
STEPS = ["get_canonical_urls", "get_config_hashes", "start_push", "wait_for_schema", "finish_push"]
FORMS = [
    ADMIN_KEY,
    TAIL,
    base64.b64encode(ADMIN_KEY.encode()).decode(),
    CANARY,
    json.dumps(CANARY)[1:-1],
    json.dumps(CANARY, ensure_ascii=False)[1:-1],
]


def everything(cli, *answers) -> str:
    shown = [answer.text + json.dumps(answer.json(), ensure_ascii=False) + str(answer.headers) for answer in answers]
    return "\n".join([*shown, cli.session.verdict().model_dump_json(), str(cli.session.verdict()), repr(cli.session)])


async def spoken(cli):
    steps = (cli.canonical_urls, cli.config_hashes, cli.start_push, cli.wait_for_schema, cli.finish_push)
    return [await step() for step in steps]


@pytest.mark.parametrize("step", [None, *STEPS])
@pytest.mark.parametrize("status", [200, 400, 403])
async def test_a_deployment_that_repeats_secrets_is_not_repeated(opened, deployment, caplog, step, status):
    caplog.set_level(logging.INFO)
    deployment.env_vars = {"CANARY": CANARY}
    leak = f"{ADMIN_KEY} and {TAIL} and {CANARY}"
    if step and status == 200:
        deployment.always(step, Answers({"type": "failed", "error": leak, "leak": leak, "componentPath": ""}))
    elif step:
        headers = {"x-convex-deprecation-message": f"upgrade {ADMIN_KEY}"}
        deployment.always(step, Says(status, "InvalidModules", leak, headers))
    async with opened() as cli:
        shown = everything(cli, *await spoken(cli)) + caplog.text

    known_by_then = step not in {"get_canonical_urls", "get_config_hashes", "start_push"}
    for form in FORMS if known_by_then else FORMS[:3]:
        assert form not in shown


async def test_a_value_that_the_analysis_repeats_is_masked_there_too(opened, deployment):
    """Auth providers, validators and cron arguments may be built from `process.env`."""
    deployment.env_vars = {"ISSUER": "https://canary.example.com/issuer", "MODE": "on", "TABLE": "messages"}
    async with opened() as cli:
        started = (await cli.start_push()).json()

    assert "canary" not in json.dumps(started)
    assert ["messages.js"] == list(started["analysis"][""]["functions"])
    assert "on" == started["appAuth"][1]["domain"]


async def test_what_the_cli_itself_sent_is_no_secret(opened, deployment):
    deployment.env_vars = {"PLACE": "convex-place-0123"}
    async with opened() as cli:
        started = (await cli.start_push(module(source=MODULE + "var x = 'convex-place-0123';"))).json()

    assert "convex-place-0123" == started["appAuth"][0]["domain"]
    assert "convex-place-0123" not in started["environmentVariables"].values()


async def test_a_session_prints_no_secret(opened, deployment):
    deployment.env_vars = {"CANARY": CANARY}
    async with opened() as cli:
        await spoken(cli)
        printed = repr(cli.session) + str(vars(cli.session))

    for secret in (cli.key, *FORMS):
        assert secret not in printed
