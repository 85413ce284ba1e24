"""The README's tables are what the code says. UPDATE_SNAPSHOTS=1 writes them."""

from __future__ import annotations

import inspect
import json
import os
import re
from pathlib import Path

import pytest

import mcp_convex
from mcp_convex.settings import describe
from mcp_convex.tools import TOOLSETS
from tests import test_canary, test_provisioning_kill
from tests.identity import test_tokens
from tests.server import test_e2b_down, test_fuzzed, test_slow_clients, test_smuggling
from tests.services import test_fault_matrix, test_projects
from tests.store import test_rotation, test_two_principals

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def tools_table() -> str:
    rows = ["| toolset | tool | what it does |", "|---|---|---|"]
    for toolset, specs in TOOLSETS.items():
        rows += [f"| {toolset} | `{spec.name}` | {inspect.getdoc(spec.fn).splitlines()[0]} |" for spec in specs]
    return "\n".join(rows)


def settings_table() -> str:
    rows = ["| variable | flag | default | what it does |", "|---|---|---|---|"]
    rows += [
        f"| `{knob.env}` | {f'`{knob.flag}`' if knob.flag else 'none'} | {knob.default} | {knob.description} |"
        for knob in describe()
    ]
    return "\n".join(rows)


def reliability_table():
    """Return what is withstood, with figures that the tests themselves are held to."""
    kills = 2 * test_provisioning_kill.KILLS + len(test_provisioning_kill.STEPS)
    steps = {*test_projects.STRAIGHT, *test_projects.LINKING, *test_fault_matrix.CALLS}
    rows = (
        (
            "a secret that would show",
            (
                f"{len(test_canary.SECRETS)} kinds planted, each in every encoding; every tool, resource, prompt, page,"
                " log line, audit row, file and process of a push is searched, also while the deployment repeats"
                f" them in {len(test_canary.ROUNDS)} ways, in pieces of 7 bytes"
            ),
            "none shows",
            "tests/test_canary.py",
        ),
        (
            "SIGKILL while a project is made",
            f"at least {kills} kills, one or more at every step",
            "the next call goes on: one project, one deployment, linked",
            "tests/test_provisioning_kill.py",
        ),
        (
            "SIGKILL while keys are rotated",
            f"at least {test_rotation.KILLS} kills, spread over all of its steps",
            "every credential opens, and the rotation can be repeated",
            "tests/store/test_rotation.py",
        ),
        (
            "two principals in one store",
            f"{test_two_principals.EXAMPLES} histories of up to {test_two_principals.STEPS} steps",
            "nothing of one reaches the other",
            "tests/store/test_two_principals.py",
        ),
        (
            "Convex fails",
            (
                f"{len(test_projects.FAULTS)} faults (401 to 504, silence, cut, garbage, before and after the effect)"
                f" at {len(steps)} calls"
            ),
            "success or a named error in time; the next call succeeds, and nothing is made twice",
            "tests/services/test_projects.py tests/services/test_fault_matrix.py",
        ),
        (
            "one of several servers is killed",
            "SIGKILL in the midst of a push, and of making a project",
            "another goes on after its lease: one push is recorded, and there is one project",
            "tests/system/test_replica_killed.py",
        ),
        (
            "each request meets another server",
            "the main job with a question to the person, pages, sandboxes at E2B, announcements",
            "as from one server",
            "tests/server/test_replicas.py",
        ),
        (
            "PostgreSQL restarts, dies, refuses, or has another clock",
            "in the midst of writes by four; killed in a transaction; an hour off, both ways",
            "calls wait or may be repeated; what was acknowledged is kept, once",
            "tests/store/test_postgres.py",
        ),
        (
            "requests over HTTP that no client sends",
            (
                f"{test_fuzzed.REQUESTS}: methods, paths, headers and bodies at random; {test_fuzzed.DAMAGED} more"
                " whose bytes are damaged"
            ),
            "each is answered, and none by a fault of the server",
            "tests/server/test_fuzzed.py",
        ),
        (
            "requests that a proxy could read otherwise",
            f"{len(test_smuggling.AMBIGUOUS)} kinds: lengths and chunks, folded lines, headers twice, hosts",
            "400, the connection ends, and nothing behind them is answered",
            "tests/server/test_smuggling.py",
        ),
        (
            "clients that send or read as slowly as they can",
            f"{len(test_slow_clients.UNFINISHED)} requests left unfinished; a byte now and then; an answer not read",
            "the connection ends in time, with 408 where a request was on its way",
            "tests/server/test_slow_clients.py",
        ),
        (
            "an attacker with a token, a link or a name of their own",
            "state, tickets and ways back replayed, tampered with and in another's browser; URLs to fetch; rebinding",
            "refused: nothing is shown, fetched, passed on or used up",
            "tests/server/test_attacks.py",
        ),
        (
            "the issuer is away or talks nonsense",
            f"{len(test_tokens.NONSENSE)} kinds of it, with and without known keys",
            "known keys outlast it; else 503, and never 401",
            "tests/identity/test_tokens.py",
        ),
        (
            "one principal takes what they can get",
            "more calls, pushes, workspaces and streams than anybody may have, in both protocol eras",
            "they wait or are told when to call again, and nobody else notices",
            "tests/server/test_limits.py tests/limits",
        ),
        (
            "the store is away",
            "PostgreSQL stopped and started under a server",
            "`/readyz` says so while `/healthz` does not, and is ready again by itself",
            "tests/server/test_watching.py",
        ),
        (
            "SIGTERM under load",
            "8 callers, and a push in each protocol era, of which one waits for its turn",
            "each call is answered, by its answer or by 503; both pushes go live",
            "tests/system/test_serve.py",
        ),
        (
            "E2B is down",
            f"{len(test_e2b_down.DOWN)} ways and silence, under people who are in the midst of their work",
            "who needs a sandbox is told so; what was written meanwhile goes live, once",
            "tests/server/test_e2b_down.py tests/sandboxes/e2b/test_failures.py",
        ),
    )
    head = ["| what happens | how often it is tried | what comes of it | shown by `pytest` |", "|---|---|---|---|"]
    return "\n".join(head + [f"| {what} | {tried} | {outcome} | `{shown}` |" for what, tried, outcome, shown in rows])


@pytest.mark.parametrize(
    ("name", "table"), [("tools", tools_table), ("settings", settings_table), ("reliability", reliability_table)]
)
def test_a_table_of_the_readme_is_what_the_code_says(name, table):
    text = README.read_text()
    part = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        README.write_text(part.sub(lambda _: f"{table()}\n", text))
        text = README.read_text()

    assert f"{table()}\n" == part.search(text).group()


def test_what_shows_the_reliability_is_there():
    for path in re.findall(r"tests/\S+\.py", reliability_table()):
        assert (ROOT / path).is_file(), path


def test_what_is_published_carries_the_version_of_the_code():
    server = json.loads((ROOT / "server.json").read_text())

    assert mcp_convex.__version__ == server["version"] == server["packages"][0]["version"]
    assert len(server["description"]) <= 100
    assert f"<!-- mcp-name: {server['name']} -->" in README.read_text()
