"""Convex's env vars: what a deployment takes, and what nobody should type where a model reads along."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from pydantic import Field

from mcp_convex.domain.errors import InvalidArguments, TooLarge
from mcp_convex.domain.models import Model
from mcp_convex.domain.secrets import REDACTED, redact

MANAGED = frozenset({"CONVEX_CLOUD_URL", "CONVEX_SITE_URL"})
"""Convex sets them itself, on every deployment."""

LONGEST_NAME = 256
LARGEST_VALUE = 8192
MOST = 512
_LARGEST_TOTAL = 512 * 1024

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class EnvVar(Model):
    """An env var of the deployment, or one that the code asks for. Its value is nowhere here."""

    name: str
    is_set: bool = Field(description="Whether the deployment has a value for it.")
    managed: bool = Field(default=False, description="Convex sets it; it can be neither set nor unset.")
    needed_by: str | None = Field(
        default=None, description="The file that declares or reads it, as the workspace's files are now."
    )
    optional: bool = Field(default=False, description="The code does without it.")


def check_name(name: str) -> None:
    """
    Make sure that an env var may be called *name*.

    Raises:
        InvalidArguments: It may not. *name* is not repeated where it may be a value in the wrong place.
    """
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME or REDACTED in redact(name) or _is_known_secret(name):
        raise InvalidArguments(
            f"Convex does not accept one of the names: a name has letters, digits and `_`, {LONGEST_NAME} at most, and"
            " does not begin with a digit.",
            next_step="Pass names such as `OPENAI_API_KEY`.",
        )
    if name in MANAGED:
        raise InvalidArguments(f"`{name}` is set by Convex itself.", next_step="Leave it out.")


def check_value(name: str, value: str) -> None:
    """
    Make sure that the env var *name* may have *value*.

    Raises:
        TooLarge: *value* has more bytes than Convex takes.
    """
    if len(value.encode()) > LARGEST_VALUE:
        raise TooLarge(
            f"The value of `{name}` has more than {LARGEST_VALUE:,} bytes.",
            next_step="Shorten it, or keep it in a table or in file storage.",
        )


def check_totals(there: Collection[str], new: Mapping[str, int]) -> None:
    """
    Make sure that a deployment with the env vars *there* may have *new* ones too: name to bytes of the value.

    Raises:
        TooLarge: They would be too many, or too large even without those that are there.
    """
    if len({*there, *new}) > MOST:
        raise TooLarge(f"A deployment has {MOST} env vars at most.", next_step="Unset some that are not needed.")
    if sum(len(name) + size for name, size in new.items()) > _LARGEST_TOTAL:
        raise TooLarge(
            f"A deployment's env vars have {_LARGEST_TOTAL:,} bytes at most, names and values together.",
            next_step="Set less.",
        )


_NEVER_SHOWN = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|PRIVATE|CREDENTIAL|(?:^|_)(?:PASS|PWD|PW|PIN)(?:_|$)", re.IGNORECASE
)
_KEY_NAMED = re.compile(
    r"(?:^|_|API|AUTH|ACCESS|SIGNING)KEYS?(?:_|$)|TOKEN|(?:^|_)(?:DSN|WEBHOOK|SALT)(?:_|$)|(?:^|_)JWT$", re.IGNORECASE
)
_PUBLIC_NAMED = re.compile(r"PUBLIC|PUBLISHABLE", re.IGNORECASE)
_PLAIN = re.compile(r"true|false|\d{1,6}", re.IGNORECASE)
"""A value that is no secret although `MAX_TOKENS` or `USE_API_KEYS` sounds like one."""

_PREFIXES = re.compile(
    r"\b(?:sk|rk|whsec|ghp|gho|ghs|ghu|ghr|github_pat|glpat|shpat|npm|pypi|hf|r8|re|sbp|dop_v1|e2b|ntn|lin_api)[_-][\w-]{8}"
    r"|\bxox[abeoprs]-|\bA[KS]IA[A-Z0-9]{12}|\bAIza[\w-]{20}|\bya29\.|\bSG\.[\w-]{8}|\bpk_live_",
)
_LOGIN_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s@]+@", re.IGNORECASE)
_RUN = re.compile(r"[A-Za-z0-9+/=]{16,}")
_WHOLE = re.compile(r"[\w+/=.~-]{32,}")
_ID_NAMED = re.compile(r"(?:^|_)(?:ID|IDS|URL|URI|MODEL|VERSION|HASH|COMMIT|SHA)$", re.IGNORECASE)
_RANDOM_RUN_BITS = 3.2
_RANDOM_BITS = 4.0
"""Of entropy for each character. English has less, and so has what is made of words."""


def secret_reason(name: str, value: str) -> str | None:
    """Return why *value* looks like a secret, in words that do not hold it; None where it does not."""
    if _is_known_secret(value) or REDACTED in redact(value):
        return "its value has the shape of a key or token"
    if _LOGIN_IN_URL.search(value):
        return "its value is a URL with a login in it"
    if _NEVER_SHOWN.search(name):
        return "its name says that it is secret"
    if _KEY_NAMED.search(name) and not _PUBLIC_NAMED.search(name) and not _PLAIN.fullmatch(value):
        return "its name says that it is a key or token"
    if not _PUBLIC_NAMED.search(name) and not _ID_NAMED.search(name) and _is_random(value):
        return "its value looks random, as keys do"
    return None


def _is_known_secret(text: str) -> bool:
    return _PREFIXES.search(text) is not None


def _is_random(value: str) -> bool:
    mixed = (_is_mixed(run) and _entropy(run) >= _RANDOM_RUN_BITS for run in _RUN.findall(value))
    return any(mixed) or any(
        any(map(str.isupper, text)) and _is_mixed(text) and _entropy(text) >= _RANDOM_BITS
        for text in _WHOLE.findall(value)
    )


def _is_mixed(text: str) -> bool:
    return any(map(str.isdigit, text)) and any(map(str.isalpha, text))


def _entropy(text: str) -> float:
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def listed(there: Iterable[str], needed: Iterable[EnvVar]) -> tuple[EnvVar, ...]:
    """Return the env vars *there*, those that the code has *needed*, and those that Convex manages, sorted by name."""
    names = set(there)
    found = {name: EnvVar(name=name, is_set=True, managed=True) for name in MANAGED}
    found |= {name: EnvVar(name=name, is_set=True) for name in names - MANAGED}
    for each in needed:
        known = found.get(each.name, each)
        found[each.name] = each.model_copy(
            update={"is_set": each.name in names or known.managed, "managed": known.managed}
        )
    return tuple(found[name] for name in sorted(found))
