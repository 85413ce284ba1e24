"""Settings, as the command line loads them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from mcp_convex.domain.errors import SettingsInvalid
from mcp_convex.domain.policy import Policy
from mcp_convex.settings import describe, load
from mcp_convex.settings.loading import _data_dir

KEY = base64.b64encode(bytes(range(32))).decode()


def refusal(flags: dict[str, str | bool | None], environ: dict[str, str]) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        load(flags, environ)
    return caught.value.message


def test_without_anything_set_every_knob_has_its_default() -> None:
    settings = load({}, {"XDG_DATA_HOME": "/srv/data"})

    assert Path.cwd() == settings.workspace
    assert ("auto", 120, (), "warning", None) == (
        settings.isolation,
        settings.push_deadline_s,
        settings.encryption_keys,
        settings.log_level,
        settings.embedded_port,
    )
    assert ("connection", "projects", "env", "files", "push", "inspect") == settings.toolsets
    assert Policy() == settings.policy
    assert "https://api.convex.dev" == settings.provision_host
    assert "https://dashboard.convex.dev" == settings.dashboard_host


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {"HOME": "/home/ada"}, "/home/ada/.local/share/mcp-convex"),
        ("linux", {"HOME": "/home/ada", "XDG_DATA_HOME": "/srv/data"}, "/srv/data/mcp-convex"),
        ("linux", {"HOME": "/home/ada", "XDG_DATA_HOME": "not/absolute"}, "/home/ada/.local/share/mcp-convex"),
        ("darwin", {"HOME": "/Users/ada"}, "/Users/ada/Library/Application Support/mcp-convex"),
    ],
)
def test_the_data_directory_is_the_platforms_own(platform: str, environ: dict[str, str], expected: str) -> None:
    assert Path(expected) == _data_dir(environ, platform)


def test_the_environment_sets_a_knob_and_a_flag_goes_before_it() -> None:
    environ = {
        "MCP_CONVEX_READ_ONLY": "true",
        "MCP_CONVEX_PUSH_DEADLINE_S": "7.5",
        "MCP_CONVEX_TOOLSETS": "inspect, files",
        "MCP_CONVEX_LOG_LEVEL": "DEBUG",
        "MCP_CONVEX_ENCRYPTION_KEYS": f"{KEY},{KEY}",
        "PROVISION_HOST": "http://127.0.0.1:4000/",
    }

    settings = load({"push_deadline_s": "30", "read_only": False, "isolation": None}, environ)

    assert not settings.read_only
    assert 30 == settings.push_deadline_s
    assert ("inspect", "files") == settings.toolsets
    assert "debug" == settings.log_level
    assert [bytes(range(32))] * 2 == [key.get_secret_value() for key in settings.encryption_keys]
    assert "http://127.0.0.1:4000" == settings.provision_host


def test_an_empty_variable_counts_as_unset() -> None:
    assert "auto" == load({}, {"MCP_CONVEX_ISOLATION": ""}).isolation


def test_folders_are_absolute_and_know_the_home_directory() -> None:
    settings = load({"workspace": "app", "data_dir": "~/store"}, {})

    assert Path.cwd() / "app" == settings.workspace
    assert Path.home() / "store" == settings.data_dir


@pytest.mark.parametrize("name", ["MCP_CONVEX_ISOLATON", "MCP_CONVEX_isolation", "mcp_convex_isolation"])
def test_an_unknown_variable_is_fatal_and_the_nearest_known_one_is_named(name: str) -> None:
    assert f"`{name}` is no setting; the nearest is `MCP_CONVEX_ISOLATION`." == refusal({}, {name: "strict"})


def test_an_unknown_flag_is_fatal() -> None:
    assert "`readonly` is no setting; the nearest is `read_only`." == refusal({"readonly": True}, {})


def test_every_wrong_value_is_named_at_once() -> None:
    environ = {
        "MCP_CONVEX_ISOLATION": "docker",
        "MCP_CONVEX_TOOLSETS": "files,puhs",
        "MCP_CONVEX_WORKSPACE": "~nobody-of-that-name/app",
        "PROVISION_HOST": "http://api.convex.dev",
    }

    said = refusal({"embedded_port": "0"}, environ)

    assert [
        "`MCP_CONVEX_WORKSPACE` should begin with a directory that exists, not `~nobody-of-that-name/app`.",
        "`MCP_CONVEX_ISOLATION` should be 'auto', 'none', 'landlock', 'bwrap' or 'strict', not `docker`.",
        (
            "`MCP_CONVEX_TOOLSETS` should be 'connection', 'projects', 'env', 'files', 'push', 'inspect' or 'docs',"
            " not `puhs`."
        ),
        "`--embedded-port` should be greater than or equal to 1, not `0`.",
        "`PROVISION_HOST` should be an https:// URL, or http:// on this machine, not `http://api.convex.dev`.",
    ] == [f"{sentence.strip()}." for sentence in said.removesuffix(".").split(". ")]


@pytest.mark.parametrize("value", ["canary-canary", KEY[:-4], f"{KEY},canary", ","])
def test_a_wrong_secret_is_not_shown(value: str) -> None:
    said = refusal({}, {"MCP_CONVEX_ENCRYPTION_KEYS": value})

    assert said.startswith("`MCP_CONVEX_ENCRYPTION_KEYS` should be keys of 32 bytes each in base64")
    assert "canary" not in said


def test_what_is_shaped_like_a_credential_is_not_shown_wherever_it_was_put() -> None:
    said = refusal({}, {"MCP_CONVEX_EMBEDDED_PORT": "prod:happy-otter-1|canarycanary"})

    assert "canary" not in said


def test_a_secret_is_not_taken_from_the_command_line() -> None:
    said = refusal({"encryption_keys": KEY}, {})

    assert "`MCP_CONVEX_ENCRYPTION_KEYS` is a secret, which is read from the environment only." == said
    secrets = {"encryption_keys", "database_url", "convex_oauth_client_secret", "e2b_api_key"}
    secrets |= {"introspection_client_secret", "sign_in_client_secret"}
    assert secrets == {knob.name for knob in describe() if knob.flag is None}


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://convex:canary@db/convex\n")
    environ = {"MCP_CONVEX_DATABASE_URL_FILE": str(tmp_path / "url"), "E2B_API_KEY_FILE": ""}

    settings = load({}, environ)

    assert settings.database_url is not None
    assert "postgresql://convex:canary@db/convex" == settings.database_url.get_secret_value()
    assert "canary" not in repr(settings)
    assert "`E2B_API_KEY_FILE` names a file that cannot be read." == refusal({}, {"E2B_API_KEY_FILE": str(tmp_path)})
    assert "is no setting" in refusal({}, {"MCP_CONVEX_LOG_LEVEL_FILE": "x"})


def test_a_database_that_is_no_postgres_is_refused_without_its_password() -> None:
    said = refusal({}, {"MCP_CONVEX_DATABASE_URL": "mysql://convex:canary@db/convex"})

    assert "`MCP_CONVEX_DATABASE_URL` should be a URL that begins with `postgresql://`." == said


def test_settings_do_not_print_their_secrets() -> None:
    settings = load({}, {"MCP_CONVEX_ENCRYPTION_KEYS": KEY, "CONVEX_OAUTH_CLIENT_SECRET": "canary"})

    assert "canary" not in repr(settings)
    assert r"\x01\x02" not in repr(settings)


def test_every_knob_is_described() -> None:
    knobs = {knob.name: knob for knob in describe()}

    assert all(knob.description.endswith(".") for knob in knobs.values())
    assert ("MCP_CONVEX_READ_ONLY", "--read-only", "false", True) == (
        knobs["read_only"].env,
        knobs["read_only"].flag,
        knobs["read_only"].default,
        knobs["read_only"].is_switch,
    )
    assert "connection,projects,env,files,push,inspect" == knobs["toolsets"].default
    assert "the current directory" == knobs["workspace"].default
    assert "none" == knobs["encryption_keys"].default
    assert "120" == knobs["push_deadline_s"].default
    named_by_others = {knob.env for knob in knobs.values() if not knob.env.startswith("MCP_CONVEX_")}
    oauth = {"CONVEX_OAUTH_CLIENT_ID", "CONVEX_OAUTH_CLIENT_SECRET", "PROVISION_HOST", "DASHBOARD_HOST"}
    assert oauth | {"E2B_API_KEY", "E2B_API_URL", "E2B_SANDBOX_URL"} == named_by_others
