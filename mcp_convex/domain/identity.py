"""Who calls, as a token that was checked says it, and the port that checks tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod

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


class CannotJudge(Exception):
    """Whether a token is good cannot be told now: its issuer does not answer as it should."""


class TokenCheck(ABC):
    @abstractmethod
    async def identify(self, token: SecretStr) -> Identity | None:
        """
        Return whose *token* it is; None where it is not good here, for whatever reason.

        Raises:
            CannotJudge: Its issuer is needed, and does not answer.
        """
