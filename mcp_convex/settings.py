"""Everything the operator can set. The only module that reads the environment."""

from __future__ import annotations

import base64
import hmac
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SecretBytes, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from mcp_convex.domain.errors import SettingsInvalid
from mcp_convex.domain.models import LocalIsolation, Model
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.secrets import redact

Toolset = Literal["connection", "projects", "env", "files", "push", "inspect", "docs"]
LogLevel = Literal["debug", "info", "warning", "error"]

_PREFIX = "MCP_CONVEX_"
_KEY_BYTES = 32
_LONGEST_ECHO = 60
"""Characters of a wrong value that an error shows."""


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except (RuntimeError, FileNotFoundError) as exc:
        raise ValueError("should begin with a directory that exists") from exc


def _split(value: object) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in str(value).split(",") if part.strip())
    if not parts:
        raise ValueError("should name at least one")
    return parts


def _lower(value: object) -> str:
    return str(value).lower()


def _decoded_keys(value: object) -> tuple[SecretBytes, ...]:
    try:
        keys = tuple(SecretBytes(base64.b64decode(part, validate=True)) for part in _split(value))
    except ValueError:
        keys = ()
    if not keys or any(len(key) != _KEY_BYTES for key in keys):
        raise ValueError("should be keys of 32 bytes each in base64, newest first, with commas between them")
    return keys


def _secure(value: str) -> str:
    parts = urlsplit(value)
    loopback = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    fits = parts.scheme in ({"http", "https"} if loopback else {"https"})
    if not fits or not parts.hostname or value.split() != [value]:
        raise ValueError("should be an https:// URL, or http:// on this machine")
    return value


def _postgres(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("should be a URL that begins with `postgresql://`")
    return value


Folder = Annotated[Path, AfterValidator(_absolute)]
Url = Annotated[str, AfterValidator(_secure)]
Host = Annotated[Url, AfterValidator(lambda value: value.rstrip("/"))]
Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
EncryptionKeys = Annotated[tuple[SecretBytes, ...], BeforeValidator(_decoded_keys)]


class Settings(Model):
    """What the operator has set, complete and checked. Nothing widens it while the server runs."""

    model_config = ConfigDict(hide_input_in_errors=True)

    data_dir: Folder = Field(description="Where the store, its key file and the embedded deployments are kept.")
    workspace: Folder = Field(description="The directory with the app's `convex/` folder.")
    isolation: Literal["auto", LocalIsolation] = Field(
        default="auto",
        description="How commands are confined: `auto` takes the strongest of `bwrap`, `landlock` and `none` that works"
        " here; `strict` is `bwrap` without any network; a named one that does not work is an error.",
    )
    read_only: bool = Field(default=False, description="Offer no tool that changes a file or a deployment.")
    allow_production: bool = Field(default=False, description="Let tools act on production deployments.")
    toolsets: Annotated[tuple[Toolset, ...], BeforeValidator(_split)] = Field(
        default=("connection", "projects", "env", "files", "push", "inspect"),
        description="The groups of tools to offer, with commas between them: `connection`, `projects`,"
        " `env`, `files`, `push`, `inspect`, `docs`.",
    )
    push_deadline_s: float = Field(
        default=120, gt=0, le=3600, allow_inf_nan=False, description="Seconds after which a push is ended."
    )
    armed_pushes: bool = Field(
        default=True, description="Keep a CLI loaded and waiting for the next push, for about 100 MB of memory."
    )
    push_lease_s: float = Field(
        default=30,
        ge=1,
        le=3600,
        allow_inf_nan=False,
        description="Seconds until another server may go on with the push, or the project, of one that died in the"
        " midst of it.",
    )
    encryption_keys: EncryptionKeys = Field(
        default=(),
        description="AES-256 keys that encrypt stored credentials: 32 bytes each in base64, newest first, with commas"
        " between them. Without it, a key file in the data directory serves.",
    )
    database_url: Annotated[SecretStr, AfterValidator(_postgres)] | None = Field(
        default=None,
        description="Keep the store in PostgreSQL, for several servers, instead of in the data directory:"
        " `postgresql://name:password@host/database`. It needs `encryption_keys`, the same for each server.",
    )
    database_connections: int = Field(
        default=10, ge=1, le=100, description="How many connections to PostgreSQL a server has at most, beside one."
    )
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = Field(
        default="warning", description="What goes to standard error: `debug`, `info`, `warning` or `error`."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="How lines of the log are written: `text`, or `json` for a program."
    )
    traces: bool = Field(
        default=False,
        description="Send traces of calls, pushes and what is asked of Convex to where the `OTEL_*` variables say"
        " (OpenTelemetry, OTLP over HTTP). Needs `mcp-convex[otel]`.",
    )
    embedded_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="The port of the embedded deployment on this machine. Without it, one that is free.",
    )
    pages_port: int = Field(
        default=8976,
        ge=1,
        le=65535,
        description="The port on this machine of the pages where the person consents and types secrets. The OAuth"
        " application's redirect URI names it: `http://localhost:8976/convex/callback`.",
    )
    convex_oauth_client_id: str | None = Field(
        default=None, alias="CONVEX_OAUTH_CLIENT_ID", description="The id of the operator's Convex OAuth application."
    )
    convex_oauth_client_secret: SecretStr | None = Field(
        default=None, alias="CONVEX_OAUTH_CLIENT_SECRET", description="The secret of that OAuth application."
    )
    provision_host: Host = Field(
        default="https://api.convex.dev", alias="PROVISION_HOST", description="Convex's management API."
    )
    dashboard_host: Host = Field(
        default="https://dashboard.convex.dev", alias="DASHBOARD_HOST", description="Convex's dashboard."
    )
    sandbox: Literal["local", "e2b"] = Field(
        default="local",
        description="Where files live and commands run: `local` in the workspace's directory; `e2b` in a sandbox at"
        " E2B, with the files kept in the store as well.",
    )
    e2b_api_key: SecretStr | None = Field(
        default=None, alias="E2B_API_KEY", description="The key of the account at E2B; `sandbox=e2b` needs it."
    )
    e2b_template: str | None = Field(
        default=None,
        description="The E2B template of sandboxes. Without it, the one that `mcp-convex e2b build-template` makes.",
    )
    e2b_internet: bool = Field(
        default=False,
        description="Let commands in an E2B sandbox reach the internet; packages beyond the template's need it.",
    )
    e2b_api_url: Host = Field(default="https://api.e2b.app", alias="E2B_API_URL", description="E2B's API.")
    e2b_sandbox_url: Host | None = Field(
        default=None, alias="E2B_SANDBOX_URL", description="Where E2B's sandboxes are reached, if not at E2B's own."
    )

    listen_host: str = Field(
        default="127.0.0.1",
        description="`serve`: the address to listen on. One beyond this machine needs `tokens_file` or `issuer`.",
    )
    listen_port: int = Field(default=8977, ge=0, le=65535, description="`serve`: the port; 0 for one that is free.")
    public_url: Url | None = Field(
        default=None,
        description="`serve`: where clients reach it, such as `https://convex.example.com/mcp`. An issuer's tokens have"
        " to be for it, and its host is one that requests may name.",
    )
    issuer: Url | None = Field(
        default=None, description="`serve`: whose access tokens are accepted, exactly as their `iss` names it."
    )
    audience: str | None = Field(
        default=None, description="`serve`: what an issuer's tokens have to name as `aud`. Without it, `public_url`."
    )
    jwks_url: Url | None = Field(
        default=None, description="`serve`: the issuer's keys. Without it, where the issuer's metadata says."
    )
    introspection_url: Url | None = Field(
        default=None,
        description="`serve`: where the issuer is asked about each token (RFC 7662), for tokens that are no JWTs.",
    )
    introspection_client_id: str | None = Field(
        default=None, description="`serve`: what this server is known as to the issuer that it asks."
    )
    introspection_client_secret: SecretStr | None = Field(
        default=None, description="`serve`: what it proves that with."
    )
    sign_in_client_id: str | None = Field(
        default=None,
        description="`serve`: what this server is known as to the issuer with which browsers sign in (OpenID Connect);"
        " its redirect URI is `/convex/signed-in` at the public URL's origin. Without it and `vouching_clients` there"
        " are no pages.",
    )
    sign_in_client_secret: SecretStr | None = Field(default=None, description="`serve`: what it proves that with.")
    vouching_clients: Names = Field(
        default=(),
        description="`serve`: the clients, by the `client_id` of their tokens or by their name in `tokens_file`, that"
        " may say whose browser they send to a page. Only backends whose people never see the token.",
    )
    required_scopes: Names = Field(
        default=("convex",), description="`serve`: the scopes that a token has to have, with commas between them."
    )
    tokens_file: Folder | None = Field(
        default=None,
        description="`serve`: a file of bearer tokens, for a private network: a line each, with the name of who holds"
        " it, the token, and scopes that narrow it.",
    )
    allowed_hosts: Names = Field(
        default=(), description="`serve`: what else a request may name as its Host; `name:*` stands for every port."
    )
    allowed_origins: Names = Field(
        default=(), description="`serve`: the origins of web pages that may call it; none without it."
    )
    workspaces_dir: Folder | None = Field(
        default=None,
        description="`serve`: where the principals' workspaces are kept. Without it, `served` in the data directory.",
    )
    workspace_idle_s: float = Field(
        default=900,
        gt=0,
        le=86_400,
        allow_inf_nan=False,
        description="`serve`: seconds after which a workspace that nobody calls is closed; the next call opens it.",
    )
    drain_s: float = Field(
        default=30,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="`serve`: seconds that calls under way have left to finish, once SIGTERM has come.",
    )
    metrics: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="`serve`: whether `/metrics` tells Prometheus how it fares; `auto` is on where it listens on this"
        " machine or a private address only, and has no `public_url`.",
    )
    call_deadline_s: float = Field(
        default=600,
        gt=0,
        le=86_400,
        allow_inf_nan=False,
        description="Seconds after which a call of a tool is stopped, whatever it does.",
    )
    calls: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="`serve`: how many calls are under way at a time, of all principals; further ones get 503.",
    )
    principal_calls_per_minute: int = Field(
        default=600, ge=0, description="`serve`: how often a principal may call in a minute; 0 for no limit."
    )
    principal_calls: int = Field(
        default=16, ge=1, le=10_000, description="`serve`: how many calls of a principal are under way at a time."
    )
    principal_pushes: int = Field(
        default=2, ge=1, le=1_000, description="`serve`: how many pushes of a principal are under way at a time."
    )
    principal_workspaces: int = Field(
        default=20, ge=1, le=100_000, description="`serve`: how many workspaces a principal may have."
    )
    principal_open_workspaces: int = Field(
        default=5,
        ge=1,
        le=100_000,
        description="`serve`: how many of a principal's workspaces are open at a time; the one that was not called for"
        " longest makes room.",
    )
    pushes: int = Field(
        default=8, ge=1, le=1_000, description="`serve`: how many pushes are under way at a time; others take turns."
    )
    open_workspaces: int = Field(
        default=500, ge=1, le=100_000, description="`serve`: how many workspaces are open at a time, of all principals."
    )

    def derived_keys(self, use: bytes) -> list[bytes]:
        """Return a key for *use* from each of those that several servers share; none where they are not set."""
        return [hmac.digest(key.get_secret_value(), b"mcp-convex " + use, "sha256") for key in self.encryption_keys]

    @property
    def pages_origin(self) -> str | None:
        """Where browsers reach the pages in the hosted shape; None where nobody could tell whose browser it is."""
        if self.public_url is None or not (self.sign_in_client_id or self.vouching_clients):
            return None
        parts = urlsplit(self.public_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def policy(self) -> Policy:
        return Policy(read_only=self.read_only, allow_production=self.allow_production)


class Knob(NamedTuple):
    """One setting, as the README and `--help` show it."""

    name: str
    env: str
    default: str
    description: str
    is_switch: bool
    is_secret: bool

    @property
    def flag(self) -> str | None:
        """The command line's name for it; None for a secret, which every process of the machine could read there."""
        return None if self.is_secret else f"--{self.name.replace('_', '-')}"


_DEPENDS = {
    "data_dir": "the platform's data directory, such as `~/.local/share/mcp-convex`",
    "workspace": "the current directory",
}
"""What to say of defaults that depend on where the server starts."""


def describe() -> Iterator[Knob]:
    """Yield every setting, in the order of the model."""
    for name, field in Settings.model_fields.items():
        yield Knob(
            name=name,
            env=field.alias or f"{_PREFIX}{name.upper()}",
            default=_DEPENDS.get(name) or _shown(field.default),
            description=field.description or "",
            is_switch=field.annotation is bool,
            # Told by its type, so that none can be forgotten.
            is_secret="Secret" in repr(field.annotation),
        )


def load(flags: Mapping[str, str | bool | None], environ: Mapping[str, str]) -> Settings:
    """
    Return the settings: *flags* (by setting name; None is not given) before *environ* before the defaults.

    An empty environment variable counts as unset: that is how a client passes an option that was left out.
    For a secret, the variable of its name with `_FILE` may name a file that holds it.

    Raises:
        SettingsInvalid: A name is unknown or a value is wrong; the message names every one of them.
    """
    knobs = {knob.name: knob for knob in describe()}
    by_env = {knob.env: knob for knob in knobs.values()}
    files = {f"{knob.env}_FILE": knob.env for knob in knobs.values() if knob.is_secret}
    known = {*by_env, *files}
    wrong = [
        *(_unknown(name, by_env) for name in environ if name.upper().startswith(_PREFIX) and name not in known),
        *(_misplaced(name, knobs) for name in flags if name not in knobs or knobs[name].is_secret),
    ]
    given: dict[str, object] = {"data_dir": _data_dir(environ, sys.platform), "workspace": Path()}
    values = {**environ, **{env: _content(name, environ[name]) for name, env in files.items() if environ.get(name)}}
    given |= {knob.name: values[env] for env, knob in by_env.items() if values.get(env)}
    given |= {name: flags[name] for name, knob in knobs.items() if knob.flag and flags.get(name) is not None}
    try:
        settings = Settings.model_validate(given, by_name=True)
    except ValidationError as exc:
        wrong += [_said(error, knobs, flags) for error in exc.errors(include_url=False)]
    else:
        if not wrong:
            return settings
    raise SettingsInvalid(" ".join(wrong), next_step="Correct what is named, and start again.")


def _content(name: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SettingsInvalid(
            f"`{name}` names a file that cannot be read.", next_step="Correct it, and start again."
        ) from None


def _data_dir(environ: Mapping[str, str], platform: str) -> Path:
    home = Path(environ.get("HOME") or "~")
    if platform == "darwin":
        return home / "Library" / "Application Support" / "mcp-convex"
    # The XDG base directory specification has a relative path ignored.
    named = Path(environ.get("XDG_DATA_HOME", ""))
    return (named if named.is_absolute() else home / ".local" / "share") / "mcp-convex"


def _shown(default: str | float | tuple[str, ...] | None) -> str:
    if isinstance(default, tuple):
        default = ",".join(default)
    match default:
        case None | "":
            return "none"
        case bool():
            return str(default).lower()
        case _:
            return str(default)


def _unknown(name: str, by_env: Mapping[str, Knob]) -> str:
    return f"`{name}` is no setting; the nearest is `{_nearest(name.upper(), by_env)}`."


def _misplaced(name: str, knobs: Mapping[str, Knob]) -> str:
    if name in knobs:
        return f"`{knobs[name].env}` is a secret, which is read from the environment only."
    return f"`{name}` is no setting; the nearest is `{_nearest(name, knobs)}`."


def _nearest(name: str, known: Mapping[str, Knob]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    return get_close_matches(name, known, n=1, cutoff=0.0)[0]


def _said(error: ErrorDetails, knobs: Mapping[str, Knob], flags: Mapping[str, str | bool | None]) -> str:
    knob = next(knob for knob in knobs.values() if error["loc"][0] in {knob.name, knob.env})
    value = flags.get(knob.name)
    source = knob.env if value is None or knob.flag is None else knob.flag
    wrong = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if knob.is_secret:
        return f"`{source}` {wrong}."
    return f"`{source}` {wrong}, not `{redact(str(error['input']))[:_LONGEST_ECHO]}`."
