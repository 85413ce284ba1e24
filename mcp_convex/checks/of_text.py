"""What is wrong with a file's text itself: parts left out, and secrets written down."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_convex.checks.facts import Finding

_LEFT = r"(?:code|file|functions?|implementation|imports?|exports?|schema|tables?|fields|queries|mutations|handlers?)\b"
_SAID = r"(?:unchanged|remains?|stays?|same|as[ ]before|as[ ]above|omitted|here)"
_ELISION = re.compile(
    rf"""^[ \t]*(?://|/\*+|\{{/\*)[ \t]*(?:
      (?:\.\.\.|…)[ \t]*\(?(?:
          (?:the[ \t]+)?(?:rest|remaining|remainder)\b
        | (?:existing|other|previous)[ \t]+{_LEFT}
        | (?:keep|same)\b
        | unchanged|as[ ]before)
    | \(?(?:the[ \t]+)?(?:rest|remainder)[ \t]+of[ \t]+(?:(?:the|your|this)[ \t]+)?(?:\w+[ \t]+)?{_LEFT}[^\n]*\b{_SAID}
    | (?:existing|previous)[ \t]+{_LEFT}[^\n]*\b(?:unchanged|remains?|stays?|same|as[ ]before|omitted)
    )[^\n]*""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_ELLIPSES = ("...", "…", "rest", "emainder", "xisting", "revious")

_SECRETS: tuple[tuple[str, str, re.Pattern[str]], ...] = (
    ("sk_live_", "a Stripe secret key", re.compile(r"\bsk_live_[A-Za-z0-9]{20,}")),
    ("rk_live_", "a Stripe key", re.compile(r"\brk_live_[A-Za-z0-9]{20,}")),
    ("whsec_", "a webhook's signing secret", re.compile(r"\bwhsec_[A-Za-z0-9+/]{24,}")),
    ("sk-", "an API key", re.compile(r"\bsk-(?:proj-|ant-|or-)?[A-Za-z0-9_-]{32,}")),
    ("AKIA", "an AWS access key", re.compile(r"\bAKIA[A-Z0-9]{16}\b")),
    ("gh", "a GitHub token", re.compile(r"\b(?:ghp|gho|ghs|ghr)_[A-Za-z0-9]{36}\b|\bgithub_pat_\w{40,}")),
    ("xox", "a Slack token", re.compile(r"\bxox[abprs]-\d{8,}-[\w-]{10,}")),
    ("AIza", "a Google API key", re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b")),
    ("-----BEGIN", "a private key", re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----(?:\\n|\s)+[\w+/=\\\s]{60,}")),
    ("|", "a Convex deploy key", re.compile(r"\b(?:prod|dev|preview|project):[\w:-]+\|eyJ[A-Za-z0-9+/=_-]{16,}")),
    ("sk_", "a Clerk secret key", re.compile(r"\bsk_test_[A-Za-z0-9]{40,}")),
    ("re_", "a Resend API key", re.compile(r"[\"'`]re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}[\"'`]")),
)
_FEWEST_DIFFERENT = 12
"""Characters. With fewer different ones it is `sk_live_xxxxxxxx`."""
_MADE_UP = re.compile(r"example|test|dummy|fake|placeholder|your|xxxx|1234567|abcdef|\.\.\.", re.IGNORECASE)


def check_text(text: str) -> Iterator[Finding]:
    """Yield the lines of *text* that say that code was left out or that it is Markdown, and the secrets in it."""
    if text.lstrip().startswith("```"):
        yield Finding("markdown_fence", text.index("```"))
    if any(mark in text for mark in _ELLIPSES):
        for found in _ELISION.finditer(text):
            yield Finding("elision", found.start() + len(found[0]) - len(found[0].lstrip()), {"line": found[0].strip()})
    for mark, kind, pattern in _SECRETS:
        if mark in text:
            for found in pattern.finditer(text):
                if len(set(found[0])) >= _FEWEST_DIFFERENT and not _MADE_UP.search(found[0]):
                    yield Finding("secret", found.start(), {"kind": kind})
