"""All that the suite sends to Convex's cloud, and all that this answers, to be held against Convex's own types."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, Literal

from starlette.responses import Response

Api = Literal["management", "deployment"]
Part = Literal["request", "query", "response"]

RECORDED: dict[tuple[Api, str, Part], set[str]] = defaultdict(set)
"""JSON, each once, by API, step and part."""


def record(api: Api, step: str, body: Any, right: Response, query: Any = None) -> None:
    """Keep what *step* was asked with and answers, where it succeeds."""
    if right.status_code >= 300:
        return
    for part, content in (("request", body), ("query", query), ("response", _content(right))):
        if content is not None:
            RECORDED[api, step, part].add(json.dumps(content, sort_keys=True))


def _content(right: Response) -> Any:
    return json.loads(right.body) if right.body else None
