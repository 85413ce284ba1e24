"""What is wrong with a file's text itself: parts left out, and secrets written down."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_convex.checks.facts import Finding

_LEFT = r"(?:code|file|functions?|implementation|imports?|exports?|schema|tables?|fields|queries|mutations|handlers?)\b"
_SAID = r"(?:unchanged|remains?|stays?|same|as[ ]before|as[ ]above|omitted|here)"
_ELISION = re.compile(
    rf"""/(?:/|\*+)[ \t]*(?:
      (?:\.\.\.|…)[ \t]*\(?(?:
          (?:the[ \t]+)?(?:rest|remaining|remainder)\b
        | (?:existing|other|previous)[ \t]+{_LEFT}
        | (?:keep|same)\b
        | unchanged|as[ ]before)
    | \(?(?:the[ \t]+)?(?:rest|remainder)[ \t]+of[ \t]+(?:(?:the|your|this)[ \t]+)?(?:\w+[ \t]+)?{_LEFT}[^\n]*\b{_SAID}
    | (?:existing|previous)[ \t]+{_LEFT}[^\n]*\b(?:unchanged|remains?|stays?|same|as[ ]before|omitted)
    )[^\n]*""",
    re.IGNORECASE | re.VERBOSE,
)
_BEFORE_COMMENT = re.compile(r"[ \t]*\{?\Z")

_SECRETS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a Stripe secret key", re.compile(r"sk_live_[A-Za-z0-9]{20,}")),
    ("a Stripe key", re.compile(r"rk_live_[A-Za-z0-9]{20,}")),
    ("a webhook's signing secret", re.compile(r"whsec_[A-Za-z0-9+/]{24,}")),
    ("an API key", re.compile(r"sk-(?<!\w...)(?:proj-|ant-|or-)?[A-Za-z0-9_-]{32,}")),
    ("an AWS access key", re.compile(r"AKIA[A-Z0-9]{16}\b")),
    ("a GitHub token", re.compile(r"gh[posr]_[A-Za-z0-9]{36}\b")),
    ("a GitHub token", re.compile(r"github_pat_\w{40,}")),
    ("a Slack token", re.compile(r"xox[abprs]-\d{8,}-[\w-]{10,}")),
    ("a Google API key", re.compile(r"AIza[A-Za-z0-9_-]{35}\b")),
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----(?:\\n|\s)+[\w+/=\\\s]{60,}")),
    ("a Convex deploy key", re.compile(r"\|eyJ(?<=[\w-]....)[A-Za-z0-9+/=_-]{16,}")),
    ("a Clerk secret key", re.compile(r"sk_test_[A-Za-z0-9]{40,}")),
    ("a Resend API key", re.compile(r"re_(?<!\w...)[A-Za-z0-9]{8}_[A-Za-z0-9]{24}\b")),
)
_FEWEST_DIFFERENT = 12
"""Characters. With fewer different ones it is `sk_live_xxxxxxxx`."""
_MADE_UP = re.compile(r"example|test|dummy|fake|placeholder|your|xxxx|1234567|abcdef|\.\.\.", re.IGNORECASE)


def check_text(text: str) -> Iterator[Finding]:
    """Yield the lines of *text* that say that code was left out or that it is Markdown, and the secrets in it."""
    if text.lstrip().startswith("```"):
        yield Finding("markdown_fence", text.index("```"))
    for found in _ELISION.finditer(text):
        before = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        if _BEFORE_COMMENT.fullmatch(before):
            yield Finding("elision", found.start(), {"line": found[0].strip()})
    for kind, pattern in _SECRETS:
        for found in pattern.finditer(text):
            if len(set(found[0])) >= _FEWEST_DIFFERENT and not _MADE_UP.search(found[0]):
                yield Finding("secret", found.start(), {"kind": kind})
