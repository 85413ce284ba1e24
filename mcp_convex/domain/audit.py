"""What was done, in a form that can be kept and shown: no argument and no answer is in it."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from pydantic import Field

from mcp_convex.domain.models import Arguments, Model


class AuditEvent(Model):
    """One call of a tool."""

    at: datetime
    tool: str
    target: str | None = Field(
        default=None,
        description="The deployment that the workspace was linked to afterwards; none is the embedded one, "
        "and `?` one that the store could not name just then.",
    )
    arguments: str = Field(description="Their digest: which calls were alike, and nothing of what they said.")
    outcome: str = Field(
        description="`ok`, `asked` where a person was, `cancelled`, what a push came to, or the code of the error."
    )
    duration_s: float = Field(description="Seconds.")


class AuditLog(Model):
    """What this principal's calls have changed, newest first, as far back as is shown."""

    events: tuple[AuditEvent, ...]


def digest(arguments: Arguments, key: bytes) -> str:
    """
    Return a digest of *arguments*, in hex.

    It takes a *key*, which is not kept with the event, since a short value can be guessed from its digest alone.
    """
    text = json.dumps(arguments, sort_keys=True, default=str).encode()
    return hashlib.blake2b(text, key=key, digest_size=16).hexdigest()
