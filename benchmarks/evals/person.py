"""The person whom a server asks: says yes or no in a form, and types secrets on the pages that they are sent to."""

from __future__ import annotations

from typing import Any

from mcp.types import ElicitRequestParams, ElicitRequestURLParams, ElicitResult

from benchmarks.evals.tasks import Person
from tests.doubles.office import Browser


class ScriptedPerson:
    def __init__(self, says: Person, origin: str) -> None:
        self._says = says
        self._origin = origin

    async def answer(self, context: Any, params: ElicitRequestParams) -> ElicitResult:  # noqa: ARG002 - the SDK's name
        """Answer what the server asks, as a client's elicitation callback."""
        if isinstance(params, ElicitRequestURLParams):
            return ElicitResult(action="accept" if await self._typed(params.url) else "decline")
        return ElicitResult(action="accept", content={"proceed": self._says.agrees})

    async def _typed(self, link: str) -> bool:
        """Type what the page at *link* asks for, if they know it."""
        async with Browser(self._origin) as browser:
            page = (await browser.get(link)).text
            for name, value in self._says.types.items():
                if name in page:
                    return (await browser.submit(link, way="value", value=value)).is_redirect
        return False
