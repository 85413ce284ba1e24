"""The `DeploymentApi` over HTTP: which path answers which question."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import anyio
import httpx2
from pydantic import JsonValue, SecretStr

from mcp_convex.convex_api.failures import FUNCTION_FAILED, not_allowed, unexpected
from mcp_convex.convex_api.http import BRIEF_ANSWER_S, Answer, Call, Http, json_body
from mcp_convex.convex_api.logs import just_before, merged
from mcp_convex.convex_api.one_off import one_off_module
from mcp_convex.convex_api.peers import DEPLOYMENT
from mcp_convex.convex_api.retry import Retry
from mcp_convex.convex_api.tables import described
from mcp_convex.convex_api.wire import (
    WireConfigHashes,
    WireDocuments,
    WireEnvVars,
    WireFunction,
    WireInfo,
    WireLogs,
    WireOutcome,
    WireRefusal,
    WireSchema,
    WireSchemas,
    WireTable,
    WireTableNames,
    WireUrls,
    parse_json,
    parse_value,
)
from mcp_convex.domain.errors import ConvexMcpError, FunctionThrew, InvalidArguments, NotFound, UnexpectedAnswer
from mcp_convex.domain.models import (
    Arguments,
    ConvexFunction,
    DeploymentInfo,
    FunctionResult,
    LogPage,
    Page,
    Table,
)
from mcp_convex.domain.ports import DeploymentApi, Reach
from mcp_convex.domain.secrets import AdminKeyValue, Redactor

T = TypeVar("T")

FUNCTION_S = 620.0
"""Seconds for a function's answer. Convex ends an action after 600."""

LOG_ANSWER_S = 2.0
"""Seconds in which a deployment that has something to tell would have told it."""

_CLI_VERSION = "1.48.0"
_BAD_REQUEST = 400
_OUTCOMES = frozenset({_BAD_REQUEST, FUNCTION_FAILED})
_TABLE_PAGE = 1_000
_MOST_TABLES = 10_000
"""Convex's own limit."""
_COUNTED_TABLES = 100
_CONCURRENT_COUNTS = 8
_LONGEST_THROWN = 4_000
_SHOWN_LOG_LINES = 20

_ENV_VAR_REFUSALS: Mapping[str, str] = MappingProxyType(
    {
        "EnvironmentVariableNameInvalid": "A name may hold letters, digits and `_`, and begins with no digit.",
        "EnvironmentVariableNameTooLong": "A name may have at most 256 characters.",
        "EnvironmentVariableValueTooLarge": "A value may have at most 8,192 bytes.",
        "EnvVarLimitMet": "The deployment already holds as many env vars as it may.",
        "EnvVarTotalSizeLimitMet": "The env vars together would be larger than the deployment takes.",
        "EnvVarNameForbidden": "That name is built in and cannot be set.",
        "RequiredEnvironmentVariable": "The live code declares that env var as required, so it cannot be unset.",
        "AuthConfigMissingEnvironmentVariable": "The live auth config reads an env var that would not be set.",
        "InvalidModules": "The live code throws where it reads these env vars outside of a function.",
    }
)


class _Ran(NamedTuple):
    """What to say of code that threw: which it was, and how it is mended."""

    what: str
    mend: str


_MEND_CALL = "Correct the arguments (`list_functions` shows them), or the code and push it; then run it again."
_MEND_QUERY = "Correct the query, and run it again; `list_tables` shows tables, fields and indexes."


class HttpDeploymentApi(DeploymentApi):
    """Deployments, reached over HTTP. `close` it in the end."""

    def __init__(self, *, retry: Retry | None = None, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._http = Http(DEPLOYMENT, retry=retry or Retry(), transport=transport)

    async def close(self) -> None:
        await self._http.close()

    async def info(self, reach: Reach) -> DeploymentInfo:
        # One in the cloud has this path; its 404 is that of a deployment which was made a moment ago.
        may_lack_it = reach.target.kind != "cloud"
        call = Call(path="/api/v1/deployment_info", optional=may_lack_it, answer_s=BRIEF_ANSWER_S)
        answer = await self._send(reach, call)
        return parse_json(WireInfo, answer.body).to_domain()

    async def canonical_urls(self, reach: Reach) -> tuple[str, str]:
        answer = await self._send(reach, Call(path="/api/v1/get_canonical_urls", answer_s=BRIEF_ANSWER_S))
        urls = parse_json(WireUrls, answer.body)
        return urls.convex_cloud_url, urls.convex_site_url

    async def list_functions(self, reach: Reach) -> tuple[ConvexFunction, ...]:
        found = await self._ask(reach, "_system/cli/modules:apiSpec", {}, tuple[WireFunction, ...])
        return tuple(sorted((wire.to_domain() for wire in found), key=lambda function: function.name))

    async def module_hashes(self, reach: Reach) -> Mapping[str, str]:
        # The CLI (1.48) asks so before a push; this endpoint reads the key here, not in the header.
        body = json_body({"version": _CLI_VERSION, "adminKey": reach.credential.get_secret_value()})
        answer = await self._send(reach, Call(path="/api/get_config_hashes", body=body))
        return {module.path: module.hash for module in parse_json(WireConfigHashes, answer.body).module_hashes}

    async def run_function(self, reach: Reach, name: str, args: Arguments) -> FunctionResult:
        body = json_body({"path": name, "args": args, "format": "json"})
        call = Call(path="/api/function", body=body, repeatable=False, reads=_OUTCOMES, answer_s=FUNCTION_S)
        return await self._run(reach, call, _Ran(f"`{name}`", _MEND_CALL))

    async def run_query(self, reach: Reach, source: str) -> FunctionResult:
        body = {
            "adminKey": reach.credential.get_secret_value(),  # this endpoint reads the key here, not in the header
            "args": {},
            "bundle": {"path": "testQuery.js", "source": one_off_module(source)},
            "format": "json",
        }
        call = Call(path="/api/run_test_function", body=json_body(body), reads=_OUTCOMES)
        return await self._run(reach, call, _Ran("The query", _MEND_QUERY))

    async def list_tables(self, reach: Reach) -> tuple[Table, ...]:
        declared = await self._declared(reach)
        names = {*declared, *await self._table_names(reach)}
        shapes = await self._shapes(reach) if names > declared.keys() else {}
        return described(names, declared, shapes, await self._counts(reach, names))

    async def read_table(
        self, reach: Reach, table: str, *, limit: int, cursor: str | None = None, newest_first: bool = True
    ) -> Page:
        args = {
            "table": table,
            "order": "desc" if newest_first else "asc",
            "paginationOpts": {"numItems": limit, "cursor": cursor},
        }
        found = await self._ask(reach, "_system/cli/tableData", args, WireDocuments)
        return Page(table=table, documents=found.page, cursor=None if found.is_done else found.continue_cursor)

    async def read_logs(self, reach: Reach, *, cursor: str | None, wait_s: float) -> LogPage:
        if cursor and not wait_s and (await self._logged_after(reach, just_before(cursor))).new_cursor == float(cursor):
            return LogPage(entries=(), cursor=cursor)
        found = await self._logged_after(reach, cursor or "0", wait_s)
        return LogPage(entries=merged(found.entries), cursor=repr(found.new_cursor))

    async def _logged_after(self, reach: Reach, cursor: str, wait_s: float = 0) -> WireLogs:
        # Convex waits a minute where there is nothing, and does not know `wait_s`; an embedded deployment does.
        path = f"/api/stream_function_logs?cursor={cursor}&wait_s={wait_s:g}"
        answer = await self._send(reach, Call(path=path, long_poll=True, answer_s=wait_s + LOG_ANSWER_S))
        return parse_json(WireLogs, answer.body) if answer.body else WireLogs(entries=(), new_cursor=float(cursor))

    async def list_env_vars(self, reach: Reach) -> tuple[str, ...]:
        answer = await self._send(reach, Call(path="/api/v1/list_environment_variables"))
        return tuple(sorted(parse_json(WireEnvVars, answer.body).environment_variables))

    async def set_env_vars(self, reach: Reach, changes: Mapping[str, str | SecretStr | None]) -> None:
        body = json_body({"changes": [{"name": name, "value": _opened(value)} for name, value in changes.items()]})
        call = Call(path="/api/v1/update_environment_variables", body=body, reads=frozenset({_BAD_REQUEST}))
        answer = await self._send(reach, call)
        if answer.status == _BAD_REQUEST:
            raise _env_var_refusal(parse_json(WireRefusal, answer.body))

    async def _send(self, reach: Reach, call: Call) -> Answer:
        answer = await self._http.send(reach.target.url, reach.credential, call)
        # What the app prints or stores is its own affair, but for the key that this server has sent it.
        return Answer(answer.status, _masking(reach.credential).mask(answer.body))

    async def _ask(self, reach: Reach, query: str, args: Mapping[str, Any], shape: type[T]) -> T:
        """Return what one of the queries built into every deployment answers."""
        body = json_body({"path": query, "args": [args], "format": "json"})
        answer = await self._send(reach, Call(path="/api/query", body=body, reads=frozenset({FUNCTION_FAILED})))
        return parse_value(shape, _value(query, parse_json(WireOutcome, answer.body)))

    async def _run(self, reach: Reach, call: Call, ran: _Ran) -> FunctionResult:
        started = time.perf_counter()
        answer = await self._send(reach, call)
        if answer.status == _BAD_REQUEST:
            refusal = parse_json(WireRefusal, answer.body)
            raise _threw(ran, f"{refusal.code}: {refusal.message}", ())
        outcome = parse_json(WireOutcome, answer.body)
        if outcome.status == "error":
            raise _threw(ran, _thrown(outcome), outcome.log_lines)
        duration_ms = (time.perf_counter() - started) * 1000
        return FunctionResult(value=outcome.value, log_lines=outcome.log_lines, duration_ms=round(duration_ms, 1))

    async def _table_names(self, reach: Reach) -> set[str]:
        names: set[str] = set()
        cursor: str | None = None
        while len(names) < _MOST_TABLES:
            args = {"paginationOpts": {"numItems": _TABLE_PAGE, "cursor": cursor}}
            found = await self._ask(reach, "_system/cli/tables", args, WireTableNames)
            names.update(table.name for table in found.page)
            if found.is_done or found.continue_cursor == cursor:
                break
            cursor = found.continue_cursor
        return names

    async def _declared(self, reach: Reach) -> dict[str, WireTable]:
        schemas = await self._ask(reach, "_system/frontend/getSchemas", {}, WireSchemas)
        tables = parse_json(WireSchema, schemas.active).tables if schemas.active else ()
        return {table.table_name: table for table in tables}

    async def _shapes(self, reach: Reach) -> dict[str, JsonValue]:
        try:
            answer = await self._send(reach, Call(path="/api/shapes2", optional=True))
        except NotFound:
            return {}
        return parse_json(dict[str, JsonValue], answer.body)

    async def _counts(self, reach: Reach, names: Iterable[str]) -> dict[str, int]:
        """Return how much each of the first tables holds, where the deployment tells; nothing depends on it."""
        counts: dict[str, int] = {}
        limiter = anyio.CapacityLimiter(_CONCURRENT_COUNTS)

        async def count(name: str) -> None:
            with suppress(ConvexMcpError):
                async with limiter:
                    counts[name] = await self._ask(reach, "_system/cli/tableSize", {"tableName": name}, int)

        async with anyio.create_task_group() as tasks:
            for name in sorted(names)[:_COUNTED_TABLES]:
                tasks.start_soon(count, name)
        return counts


def _value(query: str, outcome: WireOutcome) -> JsonValue:
    if outcome.status == "success":
        return outcome.value
    if "You do not have permission" in outcome.error_message:
        raise not_allowed(DEPLOYMENT)
    raise unexpected(f"The deployment could not answer `{query}`.")


def _thrown(outcome: WireOutcome) -> str:
    data = outcome.error_data
    return (
        outcome.error_message
        if data is None
        else f"{outcome.error_message}\nData: {json.dumps(data, ensure_ascii=False)}"
    )


def _threw(ran: _Ran, text: str, log_lines: tuple[str, ...]) -> FunctionThrew:
    """Return the error for app code that threw. After its first line the message is the app's text, not ours."""
    logged = "\n".join(log_lines[-_SHOWN_LOG_LINES:])
    said = f"{text[:_LONGEST_THROWN]}\nLogged:\n{logged[-_LONGEST_THROWN:]}" if logged else text[:_LONGEST_THROWN]
    return FunctionThrew(f"{ran.what} threw:\n{said}", next_step=ran.mend)


@lru_cache(maxsize=16)
def _masking(credential: AdminKeyValue) -> Redactor:
    key = credential.get_secret_value()
    return Redactor((key, key.rpartition("|")[2]))


def _opened(value: str | SecretStr | None) -> str | None:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _env_var_refusal(refusal: WireRefusal) -> InvalidArguments | UnexpectedAnswer:
    if said := _ENV_VAR_REFUSALS.get(refusal.code):
        return InvalidArguments(said, next_step="Change the call. None of its env vars was set.")
    return unexpected("The deployment refused the env vars.")
