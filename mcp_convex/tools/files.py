"""Tools about the workspace's files."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mcp_convex.boundary import ContextProgress, Ctx, Effect, services, tool
from mcp_convex.domain.models import FileEntry, Model
from mcp_convex.domain.pushes import CheckResult
from mcp_convex.services.files import Change, FileContent, Written
from mcp_convex.services.snapshots import LAST_PUSHED, Restored
from mcp_convex.services.templates import TemplateName
from mcp_convex.tools.params import FilePath


class Files(Model):
    files: tuple[FileEntry, ...]


@tool("List the workspace's files", Effect.READS)
async def list_files(ctx: Ctx) -> Files:
    """
    List the workspace's source files with size and sha256.

    Convex functions live in `convex/`, the schema in `convex/schema.ts`. Generated
    files, installed packages and env files are not listed.
    """
    return Files(files=await (await services(ctx)).files.list())


@tool("Read a file", Effect.READS)
async def read_file(
    path: FilePath,
    ctx: Ctx,
    first_line: Annotated[int, Field(ge=1, description="1-based.")] = 1,
    last_line: Annotated[int | None, Field(ge=1, description="1-based, inclusive; omit it to read to the end.")] = None,
) -> FileContent:
    """
    Read a text file of the workspace, whole or by lines.

    Long files come in pieces: read on with `first_line`. The answer's `sha256` goes into
    the `base` of `write_files`, so that an edit made meanwhile is not overwritten.
    """
    return await (await services(ctx)).files.read(path, first_line=first_line, last_line=last_line)


@tool("Write files", Effect.WRITES)
async def write_files(
    ctx: Ctx,
    changes: Annotated[
        tuple[Change, ...], Field(max_length=500, description="All are applied in order, or none.")
    ] = (),
    template: Annotated[
        TemplateName | None, Field(description="Writes its files too, except those in `changes`.")
    ] = None,
    base: Annotated[
        dict[str, str] | None,
        Field(
            description="For files that you read: path to the sha256 it had. The call is refused if one has changed."
        ),
    ] = None,
) -> Written:
    """
    Create, replace, edit or delete files, many in one call. Nothing is live until it is pushed.

    Each change has a `path` and one of: `content` (the whole file), `old` and `new` (the
    text to replace must stand in the file exactly once), or `delete: true`. Never write
    `convex/_generated/`, `.env` files or `node_modules/`: the push makes them.
    The answer says what is wrong: mend errors first.
    A `template` begins a part of an app with code that is known to push.
    """
    return await (await services(ctx)).templates.write(template, changes, base)


@tool("Check the files", Effect.READS)
async def check_files(
    ctx: Ctx,
    *,
    types: Annotated[bool, Field(description="False skips the bundler and the compiler.")] = True,
) -> CheckResult:
    """
    Check, bundle and type-check the current sources. Nothing goes live.

    For a change that you do not push yet: `push` checks the same by itself.
    """
    return await (await services(ctx)).source_checks.check(ContextProgress(ctx), types=types)


@tool("Restore files", Effect.WRITES)
async def restore_files(
    ctx: Ctx,
    snapshot: Annotated[
        str,
        Field(min_length=1, max_length=40, description="`last_pushed`, or the `snapshot` or `undo` of an answer."),
    ] = LAST_PUSHED,
    *,
    preview: Annotated[bool, Field(description="True only shows the differences.")] = False,
) -> Restored:
    """
    Bring the workspace's files back to what a push made live, or undo a restore.

    With `preview` it shows what you changed since the last push. The files as they are now
    are kept as `undo`. It changes files only: call `push` to make them live.
    """
    return await (await services(ctx)).snapshots.restore(snapshot, preview=preview)


TOOLS = (list_files, read_file, write_files, check_files, restore_files)
