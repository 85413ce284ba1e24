"""Reading the settings from flags and the environment, and saying what is wrong with them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mcp_convex.domain.errors import SettingsInvalid
from mcp_convex.domain.secrets import redact
from mcp_convex.settings.model import Settings

_PREFIX = "MCP_CONVEX_"
_LONGEST_ECHO = 60
"""Characters of a wrong value that an error shows."""


class Knob(NamedTuple):
    """One setting, as the README and `--help` show it."""

    name: str
    env: str
    default: str
    description: str
    is_switch: bool
    is_secret: bool
    only_serve: bool
    """Whether it changes nothing but what `mcp-convex serve` does."""

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
            # Told by what people read of it, for the same reason.
            only_serve=(field.description or "").startswith("`serve`: "),
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
    wrong = error["msg"].removeprefix("Value error, ").removeprefix("Input ").partition(", unable to")[0]
    if knob.is_secret:
        return f"`{source}` {wrong}."
    return f"`{source}` {wrong}, not `{redact(str(error['input']))[:_LONGEST_ECHO]}`."
