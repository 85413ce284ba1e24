"""An import of a name of Convex's from the wrong one of its modules is told the right one."""

from __future__ import annotations

import pytest

from mcp_convex.domain.diagnostics.hints import hint_for

BUNDLER = 'No matching export in "{}" for import "{}"'
COMPILER = "Module '\"{}\"' has no exported member '{}'."
GUESSING = "'\"{}\"' has no exported member named '{}'. Did you mean 'Other'?"
ESM = "node_modules/convex/dist/esm"


@pytest.mark.parametrize(
    ("code", "message", "at", "name", "right"),
    [
        ("missing_export", BUNDLER, f"{ESM}/values/index.js", "paginationOptsValidator", "convex/server"),
        ("missing_export", BUNDLER, f"{ESM}/server/index.js", "ConvexError", "convex/values"),
        ("missing_export", BUNDLER, f"{ESM}/server/index.js", "internalQuery", "convex/_generated/server"),
        ("missing_export", BUNDLER, "convex/_generated/server.js", "internal", "convex/_generated/api"),
        ("TS2305", COMPILER, "convex/server", "v", "convex/values"),
        ("TS2305", COMPILER, "./_generated/server", "Id", "convex/_generated/dataModel"),
        ("TS2724", GUESSING, "convex/server", "query", "convex/_generated/server"),
        ("TS2724", GUESSING, "../_generated/api", "MutationCtx", "convex/_generated/server"),
    ],
)
def test_the_right_module_is_named(code, message, at, name, right):
    assert f"`{name}` is in `{right}`: import it from there." == hint_for(code, message.format(at, name))


@pytest.mark.parametrize(
    ("code", "message", "at", "name"),
    [
        ("missing_export", BUNDLER, f"{ESM}/server/index.js", "paginationResultValidator"),
        ("missing_export", BUNDLER, "convex/messages.ts", "query"),
        ("TS2305", COMPILER, "./messages", "api"),
        ("TS2724", GUESSING, "convex/values", "Validators"),
    ],
)
def test_a_name_that_is_not_convexs_or_is_in_that_module_is_left_to_other_repairs(code, message, at, name):
    """The first is an older version of the package."""
    hint = hint_for(code, message.format(at, name))

    assert hint
    assert "import it from there" not in hint
