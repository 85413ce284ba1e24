"""The image and the compose file of docs/deploy, as far as can be told without a container engine."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from mcp_convex.cli.grammar import parse
from mcp_convex.settings import Settings, describe, load

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "docs" / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
GIVEN = {
    "MCP_CONVEX_PUBLIC_URL": "https://convex.example.com/mcp",
    "MCP_CONVEX_ISSUER": "https://login.example.com",
    "MCP_CONVEX_SIGN_IN_CLIENT_ID": "pages",
    "CONVEX_OAUTH_CLIENT_ID": "an-id",
}
"""What an operator sets."""
SECRETS = {
    "convex_oauth_client_secret": "oauth",
    "database_url": "postgresql://mcp_convex:password@database/mcp_convex",
    "encryption_keys": base64.b64encode(bytes(32)).decode(),
    "sign_in_client_secret": "sign-in",
}


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions in order, each with its words."""
    text = (DEPLOY / "Dockerfile").read_text()
    lines = re.sub(r"\\\n\s*", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    return [tuple(line.split(" ", 1)) for line in lines.splitlines() if line]


def of(instruction: str) -> list[str]:
    return [words for name, words in instructions() if name == instruction]


def environment() -> dict[str, str]:
    """Return the environment that the image sets."""
    return dict(word.split("=", 1) for words in of("ENV") for word in shlex.split(words))


def substituted(value: str) -> str:
    """Return *value* of the compose file as an operator's environment makes it."""
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda found: GIVEN.get(found[1], ""), value)


def settings(folder: Path) -> Settings:
    """Return the settings that the compose file's server has, with its secrets in *folder*."""
    for name, secret in SECRETS.items():
        (folder / name).write_text(f"{secret}\n")
    composed = {name: substituted(value) for name, value in COMPOSE["services"]["server"]["environment"].items()}
    environ = {name: value.replace("/run/secrets", str(folder)) for name, value in (environment() | composed).items()}
    return load({}, environ)


def test_what_is_copied_is_there_and_is_not_ignored():
    copied = [word for words in of("COPY") if "--from" not in words for word in words.split()[:-1]]
    let_in = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}

    assert [] == [path for path in copied if not (ROOT / path).exists()]
    assert let_in == set(copied)


def test_what_the_package_is_built_from_is_copied():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {project["project"]["readme"], *project["project"]["license-files"], *wheel["packages"]}
    extras = re.search(r"\.\[([\w,]+)\]", " ".join(of("RUN")))[1].split(",")

    assert needed | {*wheel["force-include"], "pyproject.toml"} <= {
        word for words in of("COPY") for word in words.split()
    }
    assert set(extras) <= set(project["project"]["optional-dependencies"])


def test_the_image_starts_what_the_command_line_knows_and_never_as_root():
    (entrypoint,), (command,), (account,) = (of(name) for name in ("ENTRYPOINT", "CMD", "USER"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert set(json.loads(entrypoint)) == {*project["scripts"]}
    assert "serve" == parse(json.loads(command)).command.__name__
    assert int(account.split(":")[0]) > 0
    assert "SIGTERM" == of("STOPSIGNAL")[0]


def test_every_variable_is_a_setting_and_they_fit_together(tmp_path):
    known = {knob.env for knob in describe()}
    ours = {name for name in environment() if name.startswith(("MCP_CONVEX_", "CONVEX_"))}
    composed = {name.removesuffix("_FILE") for name in COMPOSE["services"]["server"]["environment"]}
    made = settings(tmp_path)

    assert set() == (ours | composed) - known
    assert SECRETS["database_url"] == made.database_url.get_secret_value()
    assert ("0.0.0.0", "https://convex.example.com") == (made.listen_host, made.pages_origin)  # noqa: S104 - of the image
    assert str(made.data_dir) == of("VOLUME")[0] == COMPOSE["services"]["server"]["volumes"][0].split(":")[1]
    assert {str(made.listen_port)} == {*of("EXPOSE"), COMPOSE["services"]["server"]["ports"][0].split(":")[-1]}
    assert float(COMPOSE["services"]["server"]["stop_grace_period"].removesuffix("s")) > made.drain_s


def test_the_compose_file_is_one_and_gives_its_server_nothing_to_spare():
    schema = json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
    server = COMPOSE["services"]["server"]

    jsonschema.validate(COMPOSE, schema)
    assert (True, ["ALL"], ["no-new-privileges:true"]) == (
        server["read_only"],
        server["cap_drop"],
        server["security_opt"],
    )
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])
    assert ["inside"] == COMPOSE["services"]["database"]["networks"]
    used: set[Any] = {name for service in COMPOSE["services"].values() for name in service["secrets"]}
    assert used == set(COMPOSE["secrets"]) == {*SECRETS, "database_password"}
    assert (DEPLOY / server["build"]["context"]).resolve() == ROOT
    assert (ROOT / server["build"]["dockerfile"]).is_file()
    assert not [value for value in server["environment"].values() if "password" in value]


@pytest.mark.parametrize("missing", ["MCP_CONVEX_PUBLIC_URL", "MCP_CONVEX_ISSUER"])
def test_what_it_cannot_do_without_is_asked_for(missing):
    assert COMPOSE["services"]["server"]["environment"][missing].startswith(f"${{{missing}:?")
    assert missing not in os.environ
