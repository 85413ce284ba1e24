"""What the operator can set: every setting with its default, its bounds and what it does."""

from __future__ import annotations

import hmac
from typing import Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr

from mcp_convex.domain.models import LocalIsolation, Model
from mcp_convex.domain.policy import Policy
from mcp_convex.settings.values import DatabaseUrl, EncryptionKeys, Folder, Host, LogLevel, Names, Toolsets, Url


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
    toolsets: Toolsets = Field(
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
    database_url: DatabaseUrl | None = Field(
        default=None,
        description="Keep the store in PostgreSQL, for several servers, instead of in the data directory:"
        " `postgresql://name:password@host/database`. It needs `encryption_keys`, the same for each server.",
    )
    database_connections: int = Field(
        default=10, ge=1, le=100, description="How many connections to PostgreSQL a server has at most, beside two."
    )
    log_level: LogLevel = Field(
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
