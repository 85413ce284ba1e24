"""What each command does. Heavy packages are imported by the command that needs them."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mcp_convex.domain.errors import InvalidArguments
from mcp_convex.domain.models import LOCAL_PRINCIPAL, Target
from mcp_convex.domain.ports import Progress, Reach
from mcp_convex.settings import Settings

if TYPE_CHECKING:
    from mcp_convex.services import Services

Command = Callable[[Settings, Namespace], Coroutine[object, object, int]]


async def stdio(settings: Settings, _: Namespace) -> int:
    """Serve the client that started this process, until it closes standard input."""
    from mcp_convex.boundary import serve_stdio  # noqa: PLC0415 - the SDK is slow to import; other commands do without
    from mcp_convex.server import build_server  # noqa: PLC0415 - as above

    if sys.stdin.isatty():
        _hint("This is a server for an MCP client, and waits for one to speak. `mcp-convex --help` shows the commands.")
    server = build_server(settings)
    gc.freeze()
    gc.enable()
    await serve_stdio(server)
    return 0


async def serve(settings: Settings, _: Namespace) -> int:
    """Serve many principals over HTTP until SIGTERM."""
    from mcp_convex.server.hosted import serve as serve_hosted  # noqa: PLC0415 - only this command needs it

    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    gc.enable()
    await serve_hosted(settings, stopping, lambda url: _say(f"Serving at {url}."))
    return 0


async def demo(settings: Settings, _: Namespace) -> int:
    """Play the demo."""
    from mcp_convex.demo import play  # noqa: PLC0415 - only this command needs the client

    return await play(settings)


async def doctor(settings: Settings, _: Namespace) -> int:
    """Look at the machine."""
    from mcp_convex.doctor import examine  # noqa: PLC0415 - only this command needs it

    return await examine(settings)


async def init(settings: Settings, _: Namespace) -> int:
    """Write the example functions, but for those that are there."""
    async with _services(settings) as services:
        written = await services.files.init()
    for path in written:
        _say(f"wrote {path}")
    _say("Next step: `mcp-convex push`." if written else "Every example file was there already.")
    return 0


async def connect(settings: Settings, args: Namespace) -> int:
    """Take a token or key from a file or from standard input."""
    given = _credential(args.token_file or args.admin_key_file)
    async with _services(settings) as services:
        found = await services.grants.take(LOCAL_PRINCIPAL, given, args.url)
    if isinstance(found, Target):
        _say(f"This workspace now pushes to {found.name} ({found.url}).")
    else:
        of = found.project or found.team
        _say(f"Connected to Convex: {found.scope} {of.slug if of else found.id}.")
    return 0


def _credential(file: str) -> SecretStr:
    try:
        key = (_typed() if file == "-" else Path(file).read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeDecodeError):
        raise InvalidArguments(
            f"`{file}` cannot be read.", next_step="Correct the path, or the file's owner."
        ) from None
    if len(key.split()) != 1:
        raise InvalidArguments(
            f"`{file}` does not hold a token or key on one line.",
            next_step="Pass a file that holds it alone, or `-` and send it to standard input.",
        )
    return SecretStr(key)


def _typed() -> str:
    from getpass import getpass  # noqa: PLC0415 - only this command needs it

    return getpass("Token or key, which is not shown: ") if sys.stdin.isatty() else sys.stdin.read()


async def disconnect(settings: Settings, _: Namespace) -> int:
    """Forget the linked deployment and its key."""
    async with _services(settings) as services:
        linked = await services.targets.unlink()
    said = "is no longer linked; its key is deleted." if linked else "was not linked."
    _say(f"This workspace {said} It pushes to the embedded deployment.")
    return 0


async def push(settings: Settings, args: Namespace) -> int:
    """Push, and return 1 where nothing went live that should have."""
    from mcp_convex.boundary.rendering import text_of  # noqa: PLC0415 - only this command needs it

    async with _services(settings) as services:
        result = await services.pushes.push(preview=args.preview, consented=args.yes, progress=_Shown())
    _say(text_of(result))
    return int(result.failure is not None)


class _Shown(Progress):
    """Tells a person at a terminal how far a push has come: the first one installs packages."""

    async def report(self, done: float, total: float, doing: str) -> None:
        if sys.stderr.isatty():
            _hint(f"{done:.0f}/{total:.0f} {doing}")


async def set_up_auth(settings: Settings, args: Namespace) -> int:
    """Set the keys that Convex Auth needs."""
    async with _services(settings) as services:
        done = await services.auth_keys.set_up(args.site_url, rotate=args.rotate, consented=True)
    _say(f"Set on {done.deployment}: {', '.join(done.set) or 'nothing'}. Kept: {', '.join(done.kept) or 'nothing'}.")
    _say(f"Next step: {done.next_step}")
    return 0


async def keys(settings: Settings, _: Namespace) -> int:
    """Encrypt everything that is stored with the newest key."""
    from mcp_convex.store import rotate_keys  # noqa: PLC0415 - only this command needs it

    count = await rotate_keys(settings.data_dir, settings.encryption_keys, url=settings.database_url)
    _say(f"Encrypted {count} stored credentials anew with the newest key.")
    _say("Older keys open nothing here any more; backups from before still need them.")
    return 0


async def audit(settings: Settings, args: Namespace) -> int:
    """Print the audit, a line of JSON an event."""
    from mcp_convex.server.exporting import export_audit  # noqa: PLC0415 - only this command needs it

    try:
        await export_audit(settings, sys.stdout.write, since=args.since, principal=args.principal)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


async def e2b(settings: Settings, args: Namespace) -> int:
    """Build the template, or return 1 where the account has none."""
    from mcp_convex.server.e2b import build_template, has_template  # noqa: PLC0415 - only this command needs it

    if args.action == "build-template":
        _say(f"Built `{await build_template(settings, _say)}`.")
        return 0
    name, is_there = await has_template(settings)
    missing = f"There is no template `{name}`. Next step: `mcp-convex e2b build-template`."
    _say(f"The account has the template `{name}`." if is_there else missing)
    return int(not is_there)


async def embedded(settings: Settings, _: Namespace) -> int:
    """Serve the embedded deployment alone."""
    from mcp_convex.server import serve_embedded  # noqa: PLC0415 - only this command needs it

    await serve_embedded(settings, _say_ready)
    return 0


def _say_ready(reach: Reach) -> None:
    _say(f"Serving at {reach.target.url}, HTTP actions at {reach.target.site_url}.")


def _services(settings: Settings) -> AbstractAsyncContextManager[Services]:
    from mcp_convex.server import open_services  # noqa: PLC0415 - some commands do without

    return open_services(settings)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what the command was asked for


def _hint(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - beside that, for a person who looks on
