"""What may be typed after `mcp-convex`, and what to say of everything else."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, NoReturn

from typing_extensions import override

from mcp_convex import __version__
from mcp_convex.cli import commands
from mcp_convex.domain.errors import InvalidArguments
from mcp_convex.settings import Knob, describe

_OPTION = re.compile(r"--?[A-Za-z]")
Takes = Callable[[Knob], bool]
"""Says whether a setting changes what a command does."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """
    Return what *argv* says: `command`, its own options, and the settings that are named.

    Raises:
        InvalidArguments: There is no such command or option, or a value is missing or wrong.
    """
    parser = _Parser(prog="mcp-convex", description=_ABOUT, usage="%(prog)s [OPTION ...] [COMMAND ...]")
    parser.add_argument("--version", action="version", version=f"mcp-convex {__version__}")
    parser.set_defaults(command=commands.stdio)
    parsers = parser.add_subparsers(title="commands", metavar="COMMAND", prog=parser.prog)
    for each in _COMMANDS:
        sub = parsers.add_parser(each.name, help=each.summary, description=each.summary, usage=_usage(each))
        sub.set_defaults(command=each.run)
        each.options(sub)
        _add_settings(sub, each.takes)
    _add_settings(parser, _a_workspaces)
    # An option that nobody knows would take the value after it for a command.
    first = next((at for at, word in enumerate(argv) if word in parsers.choices), len(argv))
    parser.check_options(argv[:first])
    for word in argv[first : first + 1]:
        parsers.choices[word].check_options(argv[first + 1 :])
    return parser.parse_args(argv)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in a sentence, with what may have been meant, instead of printing every option there is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def check_options(self, words: Sequence[str]) -> None:
        """
        Make sure that each of *words* that looks like an option is one.

        Raises:
            InvalidArguments: One is not. What follows its `=` is not repeated: it may be a secret.
        """
        for word in words:
            name = word.partition("=")[0]
            if _OPTION.match(name) and name not in self._option_string_actions:
                raise self._refusal(_unknown_option(name, [*self._option_string_actions]))

    @override
    def error(self, message: str) -> NoReturn:
        raise self._refusal(f"{message[:1].upper()}{message[1:].rstrip('.')}.")

    @override
    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise self._refusal(_unknown(f"{action.metavar or action.dest}", value, [*action.choices]))

    def _refusal(self, message: str) -> InvalidArguments:
        return InvalidArguments(message, next_step=f"Run `{self.prog} --help` to see what there is.")


def _unknown_option(name: str, known: Sequence[str]) -> str:
    for setting in describe():
        if setting.is_secret and name == f"--{setting.name.replace('_', '-')}":
            return f"`{name}` would show a secret to everybody on this machine: set {setting.env} instead."
    return _unknown("option", name, known)


def _unknown(kind: str, name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    near = get_close_matches(name, known, n=1)
    return f"There is no {kind.lower()} `{name}`{f'; the nearest is `{near[0]}`' if near else ''}."


def _usage(each: _Command) -> str:
    return " ".join(part for part in ("%(prog)s", each.action, "[OPTION ...]") if part)


def _add_settings(parser: argparse.ArgumentParser, is_taken: Takes) -> None:
    """Let every setting be named, so that all commands can be given the same ones, and list those that it goes by."""
    group = parser.add_argument_group(
        "settings", "Each is also an environment variable. Those of other commands may be named, and change nothing."
    )
    for setting in describe():
        if setting.flag is None:
            continue
        text = f"{setting.description} [{setting.env}]".replace("%", "%%") if is_taken(setting) else argparse.SUPPRESS
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


def _a_workspaces(setting: Knob) -> bool:
    return not setting.only_serve


def _a_servers(setting: Knob) -> bool:
    return setting.name not in {"workspace", "pages_port", "embedded_port"}  # it has many, and its pages are its own


def _only(*names: str) -> Takes:
    return lambda setting: setting.name in {*names, "log_level", "log_format", "traces"}


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
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is no date or time such as 2026-11-21") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _e2b_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", choices=["check", "build-template"], help="say whether the account has the template, or build it"
    )


class _Command(NamedTuple):
    name: str
    summary: str
    run: commands.Command
    options: Callable[[argparse.ArgumentParser], None] = _no_more
    action: str = ""
    """What has to stand behind the name."""
    takes: Takes = _a_workspaces


_ABOUT = "An MCP server with which an agent gives an app a Convex backend. Without a command: serve stdio."
_COMMANDS = (
    _Command(
        "serve", "Serve many principals over Streamable HTTP until told to end.", commands.serve, takes=_a_servers
    ),
    _Command(
        "demo",
        "Do the main job once, in a workspace of its own, and show each call.",
        commands.demo,
        takes=_only("isolation"),
    ),
    _Command("doctor", "Say what this machine lacks.", commands.doctor),
    _Command("init", "Write the example functions into the workspace.", commands.init),
    _Command(
        "connect",
        "Connect to Convex with a token, or make a deployment the workspace's target.",
        commands.connect,
        _connect_options,
    ),
    _Command("disconnect", "Forget the workspace's deployment and delete its key.", commands.disconnect),
    _Command("push", "Push the workspace, as the tool does.", commands.push, _push_options),
    _Command(
        "set-up-auth", "Give the deployment the keys that Convex Auth needs.", commands.set_up_auth, _auth_options
    ),
    _Command(
        "keys",
        "Replace the key that encrypts stored credentials.",
        commands.keys,
        _keys_options,
        "rotate",
        takes=_only("data_dir"),
    ),
    _Command(
        "audit",
        "Export what every principal's calls have changed.",
        commands.audit,
        _audit_options,
        "export",
        takes=_only("data_dir", "database_connections"),
    ),
    _Command(
        "e2b",
        "Look after the account at E2B in which workspaces have their sandboxes.",
        commands.e2b,
        _e2b_options,
        "check|build-template",
        takes=_only("e2b_template", "e2b_internet", "e2b_api_url", "e2b_sandbox_url"),
    ),
    _Command(
        "embedded",
        "Serve the workspace's embedded deployment until interrupted.",
        commands.embedded,
        takes=_only("data_dir", "workspace", "isolation", "embedded_port"),
    ),
)
