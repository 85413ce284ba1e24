"""The description of the HTTP API, and that the API keeps to it, whatever is sent. UPDATE_SNAPSHOTS=1 writes it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
import schemathesis
from hypothesis import settings

from mcp_convex.http_api.openapi import openapi
from mcp_convex.tools import TOOLSETS
from tests.doubles.hosting import Hosted, hosted_settings, tokens_file
from tests.doubles.office import free_port
from tests.system.spawning import command

DESCRIPTION = openapi(tuple(TOOLSETS))
CHECKED_IN = Path(__file__).parents[2] / "docs" / "openapi.json"
EXAMPLES = 25
"""Of an operation, beside those that its parameters' bounds suggest."""

described = schemathesis.openapi.from_dict(json.loads(DESCRIPTION))


def test_what_is_checked_in_is_what_the_code_says():
    if os.environ.get("UPDATE_SNAPSHOTS"):
        CHECKED_IN.write_bytes(DESCRIPTION)

    assert DESCRIPTION == CHECKED_IN.read_bytes()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Spawn a server, whose one principal has one workspace and is trusted to say whose browser they send."""
    folder = tmp_path_factory.mktemp("described")
    file, tokens = tokens_file(folder, "alice")
    place = hosted_settings(folder)
    Hosted(place).furnish("tokens-file alice")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    flags = {"tokens-file": file, "listen-port": port, "public-url": f"{url}/mcp", "vouching-clients": "alice"}
    bounds = {"principal-calls-per-minute": 0, "principal-workspaces": 1}
    argv = [*command(place, "serve"), *(f"--{name}={value}" for name, value in (flags | bounds).items())]
    application = {"CONVEX_OAUTH_CLIENT_ID": "an-id", "CONVEX_OAUTH_CLIENT_SECRET": "c4n4ry-client-secret"}
    with Popen(argv, stdout=PIPE, env={**os.environ, **application}) as process:  # noqa: S603 - ourselves
        assert process.stdout.readline().startswith(b"Serving at ")
        yield url, tokens["alice"]
        process.terminate()
        assert 0 == process.wait(60)


@described.parametrize()
@settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None)
def test_whatever_is_sent_is_answered_as_described(case, served):
    url, token = served
    bearer = {"Authorization": f"Bearer {token}"}
    answer = case.call_and_validate(base_url=url, headers=bearer, allow_redirects=False, timeout=60)
    assert token not in answer.text
    assert "c4n4ry" not in answer.text
