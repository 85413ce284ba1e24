"""Placeholders that are given out before their session: a CLI that bears one waits, and is let in or turned away."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from pydantic import SecretStr

from mcp_convex.domain.ports import GateSession, HeldSession, OnStage, PushTerms
from mcp_convex.domain.secrets import PlaceholderValue

if TYPE_CHECKING:
    from mcp_convex.broker.session import Session

Make = Callable[[str, PlaceholderValue, PushTerms, OnStage], "Session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a CLI is kept waiting."""

    idle_s: float
    may_wait: Callable[[], bool]
    """Says whether the machine can spare what waits; asked when it comes, and every `look_every_s` seconds."""
    look_every_s: float


class Held(HeldSession):
    """One placeholder, and its session once there is one."""

    def __init__(self, url: str, make: Make, patience: Patience, *, among: list[Held]) -> None:
        """
        Give a placeholder out.

        Args:
            make: Makes the session when it is opened.
            patience: How long a CLI with the placeholder waits for the session.
            among: Those that the gate admits; this one is in the list until it is over.
        """
        self.url = url
        self.placeholder = PlaceholderValue(SecretStr(f"gate|{secrets.token_hex(32)}"))
        self._make = make
        self._patience = patience
        self._among = among
        self._known = anyio.Event()
        self._session: Session | None = None
        among.append(self)

    @property
    def is_waiting(self) -> bool:
        return not self._known.is_set()

    @asynccontextmanager
    async def open(self, terms: PushTerms, on_stage: OnStage) -> AsyncGenerator[GateSession]:
        self._session = session = self._make(self.url, self.placeholder, terms, on_stage)
        self._known.set()
        if self not in self._among:  # it was dropped, and is needed after all
            self._among.append(self)
        try:
            yield session
        finally:
            session.close()
            self._among.remove(self)

    def drop(self) -> None:
        self._known.set()
        if self in self._among:
            self._among.remove(self)

    def admits(self, authorization: bytes) -> bool:
        """Say whether a request with that header bears the placeholder, in constant time."""
        return hmac.compare_digest(authorization, f"Convex {self.placeholder.get_secret_value()}".encode())

    async def session(self) -> Session | None:
        """Return the session once it is open; None where it was dropped, or there is no patience left."""
        with anyio.move_on_after(self._patience.idle_s):
            while self.is_waiting and self._patience.may_wait():
                with anyio.move_on_after(self._patience.look_every_s):
                    await self._known.wait()
        if self.is_waiting:
            self.drop()
        return self._session
