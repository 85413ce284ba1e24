"""What docs/http-api.md shows is what happens: each of its commands is run, in order, with the curl of this machine."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.doubles.hosting import consenting, hosted, tokens_file

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2].joinpath("docs/http-api.md").read_text()
SHOWN = re.findall(r"^\$ (curl (?:.*\\\n)*.*)\n(\{.*\})$", PAGE, re.MULTILINE)
"""Each command, and the answer that is shown for it."""


def assert_fits(shown: Any, answered: Any) -> None:
    """Assert that all that is *shown* was answered; `…` stands for anything."""
    match shown:
        case dict():
            for name, value in shown.items():
                assert_fits(value, answered[name])
        case str() if "…" in shown:
            assert isinstance(answered, str)
        case list():
            for one, other in zip(shown, answered, strict=True):
                assert_fits(one, other)
        case _:
            assert shown == answered


async def test_each_command_of_the_page_answers_as_it_shows(tmp_path, convex):
    file, tokens = tokens_file(tmp_path, "alice")
    async with hosted(consenting(tmp_path, convex, tokens_file=str(file), vouching_clients="alice")) as host:
        host.furnish("tokens-file alice")
        for command, shown in SHOWN:
            here = command.replace("https://convex.example.com", host.origin)
            env = {"PATH": os.environ["PATH"], "TOKEN": tokens["alice"]}
            with anyio.fail_after(60):
                ran = await anyio.run_process(["sh", "-c", here], env=env)
            assert_fits(json.loads(shown), json.loads(ran.stdout))
    assert 6 == len(SHOWN)
