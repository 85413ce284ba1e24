"""Who calls and who is at the browser, as an issuer says it, and the ports that ask it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from pydantic import Field, SecretStr

from mcp_convex.domain.models import Model, PrincipalId


class Identity(Model):
    """What a token says, once it is known to be true. The token itself is in no model."""

    issuer: str = Field(pattern=r"^\S+$")
    subject: str = Field(min_length=1, max_length=255)
    client: str = ""
    scopes: frozenset[str] = frozenset()
    expires_at: int | None = None
    """Seconds since the epoch."""

    @property
    def principal(self) -> PrincipalId:
        """Subjects are unique within their issuer only. An issuer has no space in it, so no two pairs read alike."""
        return PrincipalId(f"{self.issuer} {self.subject}")


RefusalReason = Literal[
    "algorithm",
    "audience",
    "claims",
    "expired",
    "inactive",
    "issuer",
    "malformed",
    "not_yet_valid",
    "signature",
    "too_long",
    "unknown",
    "unknown_key",
]


class Refusal(Model):
    """Why a token is not good here, for the operator's log. The caller who brought it is not told."""

    reason: RefusalReason
    key: str | None = None
    """The id of the key that the token names; None where it names none, or no id that could be written down."""


class CannotJudge(Exception):
    """Whether a token is good cannot be told now: its issuer does not answer as it should."""


class TokenCheck(ABC):
    @abstractmethod
    async def identify(self, token: SecretStr) -> Identity | Refusal:
        """
        Return whose *token* it is, or why it is not good here.

        Raises:
            CannotJudge: Its issuer is needed, and does not answer.
        """


class SigningIn(Model):
    """A browser on its way to the issuer. What is in it is for that browser only."""

    url: str
    state: str
    nonce: str
    verifier: str


class SignIn(ABC):
    """How the person at a browser shows the issuer who they are."""

    @abstractmethod
    async def begin(self) -> SigningIn:
        """
        Return where to send the browser.

        Raises:
            CannotJudge: The issuer does not answer.
        """

    @abstractmethod
    async def finish(self, code: str, begun: SigningIn) -> Identity | None:
        """
        Return who came back with *code*; None where that is not what the issuer gave for *begun*.

        Raises:
            CannotJudge: The issuer does not answer, or not to this.
        """
