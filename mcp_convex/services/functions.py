"""Finding and running the functions that are live."""

from __future__ import annotations

import json

from mcp_convex.domain.errors import InvalidArguments, NotFound, TooLarge
from mcp_convex.domain.function_names import canonical, resolve
from mcp_convex.domain.models import (
    Arguments,
    ConvexFunction,
    FunctionKind,
    FunctionResult,
    Functions,
    Visibility,
)
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.ports import DeploymentApi, Reach
from mcp_convex.services.excerpts import excerpt, excerpt_lines, fitting, size_of_model
from mcp_convex.services.suggestions import did_you_mean
from mcp_convex.services.targets import TargetService

_LARGEST_ARGS = 16 * 1024 * 1024
"""Bytes of JSON: Convex's own limit."""
_LONGEST_SOURCE = 100_000
_LOG_LINES = 50
_LOG_LINE = 500


class FunctionService:
    def __init__(self, api: DeploymentApi, targets: TargetService, policy: Policy) -> None:
        self._api = api
        self._targets = targets
        self._policy = policy

    async def list(
        self, *, search: str | None = None, kind: FunctionKind | None = None, visibility: Visibility | None = None
    ) -> Functions:
        """Return the live functions of that *kind* and *visibility* whose name contains *search*."""
        live = await self._api.list_functions(await self._targets.reach())
        wanted = (search or "").lower()
        return _bounded(
            [
                function
                for function in live
                if wanted in function.name.lower()
                and kind in {None, function.kind}
                and visibility in {None, function.visibility}
            ]
        )

    async def run(self, name: str, args: Arguments) -> FunctionResult:
        """
        Run the live function that *name* means, however it is written.

        Raises:
            NotFound: No live function has that name.
            InvalidArguments: It is an HTTP action, or *args* are not JSON.
            TooLarge: *args* exceed what Convex takes.
            BlockedByPolicy: The server is read-only, and the deployment says that it is not a query.
            FunctionThrew: It threw.
        """
        _check_args(args)
        reach = await self._targets.reach()
        function = await self._find(reach, name)
        if function.kind == "http_action":
            raise _not_callable(function, reach.target.site_url)
        if function.kind != "query":
            self._policy.check_write(reach.target)
        return _trimmed(await self._api.run_function(reach, function.name, args))

    async def run_query(self, source: str) -> FunctionResult:
        """
        Run *source* once, read-only.

        Args:
            source: A module whose default export is a query, statements that return, or an expression.

        Raises:
            TooLarge: *source* is longer than a query ever is.
            FunctionThrew: It threw, or it is not a query.
        """
        if len(source) > _LONGEST_SOURCE:
            raise TooLarge(
                f"The query is longer than {_LONGEST_SOURCE:,} characters.", next_step="Send a shorter query."
            )
        return _trimmed(await self._api.run_query(await self._targets.reach(), source))

    async def _find(self, reach: Reach, name: str) -> ConvexFunction:
        live = {function.name: function for function in await self._api.list_functions(reach)}
        if found := resolve(name, live):
            return live[found]
        if not live:
            raise NotFound("No function is live yet.", next_step="Call `push` to make the workspace's functions live.")
        hint = did_you_mean(canonical(name), live)
        raise NotFound(
            f"No live function is called `{canonical(name)}`.",
            next_step=f"{hint}Call `list_functions` to see what is live; a new function is live after `push`.",
        )


def _bounded(found: list[ConvexFunction]) -> Functions:
    """Return what fits into one answer: if not all of it does, names before validators."""
    if fitting(found, size_of_model) < len(found):
        found = [function.model_copy(update={"args": None, "returns": None}) for function in found]
    shown = fitting(found, size_of_model)
    return Functions(functions=tuple(found[:shown]), omitted=len(found) - shown)


def _check_args(args: Arguments) -> None:
    try:
        length = len(json.dumps(args, allow_nan=False))
    except (TypeError, ValueError):
        raise InvalidArguments(
            "The arguments are not JSON.", next_step="Pass numbers, strings, booleans, null, lists and objects."
        ) from None
    if length > _LARGEST_ARGS:
        raise TooLarge("The arguments are larger than 16 MiB.", next_step="Send less in one call.")


def _not_callable(function: ConvexFunction, site_url: str | None) -> InvalidArguments:
    return InvalidArguments(
        f"`{function.name}` is an HTTP action: it answers requests, not calls.",
        next_step=f"Send it a request at {site_url or 'the site URL of the deployment'}.",
    )


def _trimmed(result: FunctionResult) -> FunctionResult:
    value = excerpt(result.value)
    lines = excerpt_lines(result.log_lines, most=_LOG_LINES, longest=_LOG_LINE)
    cut = value != result.value or lines != result.log_lines
    return result.model_copy(update={"value": value, "log_lines": lines, "trimmed": cut})
