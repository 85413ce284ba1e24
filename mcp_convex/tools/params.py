"""Arguments that several tools share, each with the words that tell an agent what to pass."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

FilePath = Annotated[
    str,
    Field(min_length=1, max_length=400, description="From the workspace's root, such as `convex/messages.ts`."),
]
Cursor = Annotated[
    str | None, Field(max_length=2000, description="The `cursor` of the last answer, to read on from there.")
]
