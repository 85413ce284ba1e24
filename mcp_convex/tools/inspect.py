"""Tools that look at what is live: functions, data and logs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue

from mcp_convex.boundary import Ctx, Effect, services, tool
from mcp_convex.domain.models import FunctionKind, FunctionResult, Functions, LogPage, Page, Tables, Visibility
from mcp_convex.tools.params import Cursor


@tool("List the live functions", Effect.READS)
async def list_functions(
    ctx: Ctx,
    search: Annotated[str | None, Field(max_length=200, description="Only names that contain this.")] = None,
    kind: Annotated[FunctionKind | None, Field(description="Only of this kind.")] = None,
    visibility: Annotated[Visibility | None, Field(description="Only of this visibility.")] = None,
) -> Functions:
    """List the functions that are live on the deployment, with kind, visibility and arguments."""
    return await (await services(ctx)).functions.list(search=search, kind=kind, visibility=visibility)


@tool("Run a function", Effect.RUNS)
async def run_function(
    name: Annotated[str, Field(min_length=1, max_length=400, description="Such as `messages:send`.")],
    ctx: Ctx,
    args: Annotated[dict[str, JsonValue] | None, Field(description="The function's arguments, by name.")] = None,
) -> FunctionResult:
    """
    Run a live query, mutation or action, public or internal, and return its value and logs.

    `list_functions` shows names and arguments. What runs is what was last pushed, not the
    files as they are now. A mutation changes the deployment's data.
    """
    return await (await services(ctx)).functions.run(name, args or {})


@tool("Run a one-off query", Effect.READS)
async def run_query(
    source: Annotated[
        str,
        Field(
            min_length=1,
            max_length=50_000,
            description="An expression such as `ctx.db.query('messages').take(5)`, statements that return, or a module "
            "whose default export is a query.",
        ),
    ],
    ctx: Ctx,
) -> FunctionResult:
    """
    Run a read-only query that you write here, once, without pushing it.

    Use it for questions that no live function answers. It cannot write.
    """
    return await (await services(ctx)).functions.run_query(source)


@tool("List the tables", Effect.READS)
async def list_tables(ctx: Ctx) -> Tables:
    """List the deployment's tables with fields and indexes."""
    return await (await services(ctx)).data.list_tables()


@tool("Read a table", Effect.READS)
async def read_table(
    table: Annotated[str, Field(min_length=1, max_length=200, description="`list_tables` shows them.")],
    ctx: Ctx,
    *,
    limit: Annotated[int, Field(ge=1, le=200, description="The most documents to return.")] = 20,
    cursor: Cursor = None,
    newest_first: Annotated[bool, Field(description="False starts at the oldest.")] = True,
) -> Page:
    """Read a table's documents, newest first, a page at a time."""
    return await (await services(ctx)).data.read_table(table, limit=limit, cursor=cursor, newest_first=newest_first)


@tool("Read the logs", Effect.READS)
async def read_logs(  # noqa: PLR0913 - an agent says each by its name
    ctx: Ctx,
    *,
    limit: Annotated[int, Field(ge=1, le=200, description="The most entries to return, the latest ones.")] = 50,
    cursor: Cursor = None,
    function: Annotated[
        str | None, Field(max_length=400, description="Only of functions whose name contains this.")
    ] = None,
    only_errors: Annotated[bool, Field(description="Only executions that failed.")] = False,
    wait_s: Annotated[float, Field(ge=0, le=30, description="Seconds to wait if nothing is new.")] = 0,
) -> LogPage:
    """Read what the deployment's functions logged, with duration and success of each execution."""
    return await (await services(ctx)).logs.read(
        limit=limit, cursor=cursor, function=function, only_errors=only_errors, wait_s=wait_s
    )


TOOLS = (list_functions, run_function, run_query, list_tables, read_table, read_logs)
