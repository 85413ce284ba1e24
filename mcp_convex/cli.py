"""The command line: argv in, exit code out."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mcp_convex import __version__, logs
from mcp_convex.domain.errors import ConvexMcpError, InvalidArguments
from mcp_convex.domain.models import LOCAL_PRINCIPAL, Target
from mcp_convex.domain.ports import Reach
from mcp_convex.settings import Settings, describe, load

if TYPE_CHECKING:
    from mcp_convex.services import Services

Command = Callable[[Settings, argparse.Namespace], Coroutine[object, object, int]]

EXIT_REFUSED = 2
"""What was asked for cannot be done as it stands; the message says what to do."""


def run(argv: Sequence[str]) -> int:
    """Run the command that *argv* names, `serve over stdio` if none, and return the exit code."""
    args = _parser().parse_args(argv)
    command: Command = args.command
    flags = {setting.name: getattr(args, setting.name) for setting in describe() if hasattr(args, setting.name)}
    try:
        settings = load(flags, os.environ)
        logs.set_up(settings.log_level, settings.log_format)
        if settings.traces:
            _trace()
        return asyncio.run(_until_signalled(command(settings, args)))
    except ConvexMcpError as exc:
        print(f"mcp-convex: {exc.code}: {exc.message}\nNext step: {exc.next_step}", file=sys.stderr)  # noqa: T201
        return EXIT_REFUSED
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


def _trace() -> None:
    from mcp_convex.telemetry import traces  # noqa: PLC0415 - an extra

    traces.set_up()


async def _until_signalled(work: Coroutine[object, object, int]) -> int:
    """Run *work*; SIGTERM cancels it, so that what it started is ended and given back."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mcp-convex",
        description="An MCP server with which an agent gives an app a Convex backend. Without a command: serve stdio.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mcp-convex {__version__}")
    _add_settings(parser)
    parser.set_defaults(command=_stdio)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, summary, command, more in _COMMANDS:
        sub = commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        _add_settings(sub)
        sub.set_defaults(command=command)
        more(sub)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("settings", "Each is also an environment variable.")
    for setting in describe():
        if setting.flag is None:
            continue
        text = f"{setting.description} [{setting.env}]".replace("%", "%%")
        if setting.is_switch:
            group.add_argument(
                setting.flag,
                dest=setting.name,
                action=argparse.BooleanOptionalAction,
                default=argparse.SUPPRESS,
                help=text,
            )
        else:
            group.add_argument(setting.flag, dest=setting.name, metavar="VALUE", default=argparse.SUPPRESS, help=text)


async def _stdio(settings: Settings, _: argparse.Namespace) -> int:
    from mcp_convex.boundary import serve_stdio  # noqa: PLC0415 - the SDK is slow to import; other commands do without
    from mcp_convex.server import build_server  # noqa: PLC0415 - as above

    server = build_server(settings)
    gc.freeze()
    gc.enable()
    await serve_stdio(server)
    return 0


async def _serve(settings: Settings, _: argparse.Namespace) -> int:
    from mcp_convex.server.hosted import serve  # noqa: PLC0415 - only this command needs it

    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    gc.enable()
    await serve(settings, stopping, lambda url: print(f"Serving at {url}.", flush=True))  # noqa: T201
    return 0


async def _demo(settings: Settings, _: argparse.Namespace) -> int:
    from mcp_convex.demo import play  # noqa: PLC0415 - only this command needs the client

    return await play(settings)


async def _doctor(settings: Settings, _: argparse.Namespace) -> int:
    from mcp_convex.doctor import examine  # noqa: PLC0415 - only this command needs it

    return await examine(settings)


async def _init(settings: Settings, _: argparse.Namespace) -> int:
    async with _services(settings) as services:
        written = await services.files.init()
    for path in written:
        print(f"wrote {path}")  # noqa: T201
    print("Next step: push." if written else "Every example file was there already.")  # noqa: T201
    return 0


async def _connect(settings: Settings, args: argparse.Namespace) -> int:
    given = _credential(args.token_file or args.admin_key_file)
    async with _services(settings) as services:
        found = await services.grants.take(LOCAL_PRINCIPAL, given, args.url)
    if isinstance(found, Target):
        print(f"This workspace now pushes to {found.name} ({found.url}).")  # noqa: T201
    else:
        of = found.project or found.team
        print(f"Connected to Convex: {found.scope} {of.slug if of else found.id}.")  # noqa: T201
    return 0


def _credential(file: str) -> SecretStr:
    try:
        key = (sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeDecodeError):
        key = ""
    if not key or len(key.split()) != 1:
        raise InvalidArguments(
            f"`{file}` does not hold a token or key on one line.",
            next_step="Pass a file that holds it alone, or `-` and send it to standard input.",
        )
    return SecretStr(key)


async def _disconnect(settings: Settings, _: argparse.Namespace) -> int:
    async with _services(settings) as services:
        linked = await services.targets.unlink()
    said = "is no longer linked; its key is deleted." if linked else "was not linked."
    print(f"This workspace {said} It pushes to the embedded deployment.")  # noqa: T201
    return 0


async def _push(settings: Settings, args: argparse.Namespace) -> int:
    from mcp_convex.boundary.rendering import text_of  # noqa: PLC0415 - only this command needs it

    async with _services(settings) as services:
        result = await services.pushes.push(preview=args.preview, consented=args.yes)
    print(text_of(result))  # noqa: T201
    return int(result.failure is not None)


async def _set_up_auth(settings: Settings, args: argparse.Namespace) -> int:
    async with _services(settings) as services:
        done = await services.auth_keys.set_up(args.site_url, rotate=args.rotate, consented=True)
    print(f"Set on {done.deployment}: {', '.join(done.set) or 'nothing'}. Kept: {', '.join(done.kept) or 'nothing'}.")  # noqa: T201
    print(f"Next step: {done.next_step}")  # noqa: T201
    return 0


async def _keys(settings: Settings, _: argparse.Namespace) -> int:
    from mcp_convex.store import rotate_keys  # noqa: PLC0415 - only this command needs it

    count = await rotate_keys(settings.data_dir, settings.encryption_keys, url=settings.database_url)
    print(f"Encrypted {count} stored credentials anew with the newest key.")  # noqa: T201
    print("Older keys open nothing here any more; backups from before still need them.")  # noqa: T201
    return 0


async def _audit(settings: Settings, args: argparse.Namespace) -> int:
    from mcp_convex.server.exporting import export_audit  # noqa: PLC0415 - only this command needs it

    try:
        await export_audit(settings, sys.stdout.write, since=args.since, principal=args.principal)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


async def _e2b(settings: Settings, args: argparse.Namespace) -> int:
    from mcp_convex.server.e2b import build_template, has_template  # noqa: PLC0415 - only this command needs it

    if args.action == "build-template":
        name = await build_template(settings, lambda line: print(line, flush=True))  # noqa: T201
        print(f"Built `{name}`.")  # noqa: T201
        return 0
    name, is_there = await has_template(settings)
    missing = f"There is no template `{name}`. Next step: `mcp-convex e2b build-template`."
    print(f"The account has the template `{name}`." if is_there else missing)  # noqa: T201
    return int(not is_there)


async def _embedded(settings: Settings, _: argparse.Namespace) -> int:
    from mcp_convex.server import serve_embedded  # noqa: PLC0415 - only this command needs it

    await serve_embedded(settings, _say_ready)
    return 0


def _say_ready(reach: Reach) -> None:
    print(f"Serving at {reach.target.url}, HTTP actions at {reach.target.site_url}.", flush=True)  # noqa: T201


def _services(settings: Settings) -> AbstractAsyncContextManager[Services]:
    from mcp_convex.server import open_services  # noqa: PLC0415 - some commands do without

    return open_services(settings)


def _no_more(_: argparse.ArgumentParser) -> None:
    pass


def _connect_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="a self-hosted deployment's URL, such as https://convex.example.com")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--token-file",
        metavar="FILE|-",
        help="a file that holds a team's or project's access token, or a deploy key; - for standard input",
    )
    given.add_argument(
        "--admin-key-file",
        metavar="FILE|-",
        help="a file that holds the admin key of the deployment at --url; - for standard input",
    )


def _push_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preview", action="store_true", help="say what a push would do; nothing goes live")
    parser.add_argument("--yes", action="store_true", help="agree to the removals that a push asked about")


def _auth_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--site-url", metavar="URL", help="the frontend's origin, such as http://localhost:5173")
    parser.add_argument("--rotate", action="store_true", help="replace the keys; signs everybody out")


def _keys_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["rotate"], help="make a new key, and encrypt everything with it")


def _audit_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["export"], help="print every event, oldest first, as a line of JSON each")
    parser.add_argument(
        "--since", type=_moment, metavar="WHEN", help="only from then on, such as 2026-11-21 or 2026-11-21T08:00+01:00"
    )
    parser.add_argument("--principal", metavar="NAME", help="only of this one, as the export names them")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _e2b_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", choices=["check", "build-template"], help="say whether the account has the template, or build it"
    )


_COMMANDS: tuple[tuple[str, str, Command, Callable[[argparse.ArgumentParser], None]], ...] = (
    ("serve", "Serve many principals over Streamable HTTP until told to end.", _serve, _no_more),
    ("demo", "Do the main job once, in a workspace of its own, and show each call.", _demo, _no_more),
    ("doctor", "Say what this machine lacks.", _doctor, _no_more),
    ("init", "Write the example functions into the workspace.", _init, _no_more),
    (
        "connect",
        "Connect to Convex with a token, or make a deployment the workspace's target.",
        _connect,
        _connect_options,
    ),
    ("disconnect", "Forget the workspace's deployment and delete its key.", _disconnect, _no_more),
    ("push", "Push the workspace, as the tool does.", _push, _push_options),
    ("set-up-auth", "Give the deployment the keys that Convex Auth needs.", _set_up_auth, _auth_options),
    ("keys", "Replace the key that encrypts stored credentials.", _keys, _keys_options),
    ("audit", "Export what every principal's calls have changed.", _audit, _audit_options),
    ("e2b", "Look after the account at E2B in which workspaces have their sandboxes.", _e2b, _e2b_options),
    ("embedded", "Serve the workspace's embedded deployment until interrupted.", _embedded, _no_more),
)
