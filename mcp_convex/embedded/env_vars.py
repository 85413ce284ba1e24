"""The deployment's env vars: what Convex allows, and where they are kept."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from mcp_convex.embedded import durable
from mcp_convex.embedded.refusals import Refusal, bad_request

BUILT_IN = frozenset({"CONVEX_CLOUD_URL", "CONVEX_SITE_URL"})

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_MAX_NAME = 256
_MAX_VALUE_BYTES = 8192
_MAX_COUNT = 512
_MAX_TOTAL_BYTES = 512 * 1024


class EnvVars:
    """The env vars of one deployment. They may be secrets: the file is for its owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.values: dict[str, str] = durable.read_json(path) or {}

    def changed(self, changes: Iterable[Mapping[str, Any]], required: Collection[str]) -> dict[str, str]:
        """
        Return the values as they would be after *changes*, `{name, value}` each, where no value means unset.

        Raises:
            Refusal: One of them is not allowed, so none is made.
        """
        values = dict(self.values)
        for change in changes:
            name, value = change.get("name"), change.get("value")
            if value is None:
                _check_unset(name, required)
                values.pop(str(name), None)
            else:
                values[_checked_name(name)] = _checked_value(name, value)
        _check_totals(values)
        return values

    def replace(self, values: dict[str, str]) -> None:
        """Keep *values*, which `changed` returned."""
        durable.write_json(self._path, values)
        self.values = values


def missing(declared: Iterable[str], values: Collection[str]) -> Refusal | None:
    """Return the refusal of a push that declares env vars which are not among *values*, if there are such."""
    unset = sorted(name for name in declared if name not in values)
    if not unset:
        return None
    return bad_request(
        "MissingEnvironmentVariables",
        f"Required environment variables are not set: {', '.join(unset)}. "
        "Set them in the Convex dashboard or CLI before pushing.",
    )


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise bad_request(
            "EnvironmentVariableNameInvalid",
            f"Environment variable name {name!r} is invalid. Names start with a letter or an underscore, "
            "and hold only letters, digits and underscores.",
        )
    if len(name) > _MAX_NAME:
        raise bad_request(
            "EnvironmentVariableNameTooLong", f"Environment variable names have at most {_MAX_NAME} characters."
        )
    if name in BUILT_IN:
        raise bad_request("EnvVarNameForbidden", f"Environment variable {name} is built in and cannot be set.")
    return name


def _checked_value(name: Any, value: Any) -> str:
    if not isinstance(value, str):
        raise bad_request("InvalidEnvironmentVariable", f"The value of environment variable {name} is no string.")
    if len(value.encode()) > _MAX_VALUE_BYTES:
        raise bad_request(
            "EnvironmentVariableValueTooLarge",
            f"The value of environment variable {name} has more than {_MAX_VALUE_BYTES} bytes.",
        )
    return value


def _check_unset(name: Any, required: Collection[str]) -> None:
    if not isinstance(name, str):
        raise bad_request("EnvironmentVariableNameInvalid", "A change of environment variables has no name.")
    if name in required:
        raise bad_request(
            "RequiredEnvironmentVariable",
            f"Environment variable {name} is declared as required in convex.config.ts and cannot be unset.",
        )


def _check_totals(values: Mapping[str, str]) -> None:
    if len(values) > _MAX_COUNT:
        raise bad_request("EnvVarLimitMet", f"A deployment has at most {_MAX_COUNT} environment variables.")
    if sum(len(name.encode()) + len(value.encode()) for name, value in values.items()) > _MAX_TOTAL_BYTES:
        raise bad_request(
            "EnvVarTotalSizeLimitMet",
            f"The environment variables of a deployment have at most {_MAX_TOTAL_BYTES} bytes together.",
        )
