"""How the embedded deployment says no over HTTP: Convex's status, code and message."""

from __future__ import annotations


class Refusal(Exception):
    """An answer other than 200, in the form that Convex's clients read: `{code, message}`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def bad_request(code: str, message: str) -> Refusal:
    """Return the refusal of a request that is wrong in itself."""
    return Refusal(400, code, message)


def bad_key(deployment: str) -> Refusal:
    """Return the refusal of a key that does not open *deployment*."""
    return Refusal(401, "BadDeployKey", f"The provided deploy key was invalid for deployment '{deployment}'")


def forbidden() -> Refusal:
    """Return the refusal of a caller that is known, and not an admin."""
    return Refusal(403, "Forbidden", "You do not have permission to perform this operation.")


def not_found(what: str) -> Refusal:
    """Return the refusal of a request for something that is not there."""
    return Refusal(404, "NotFound", what)
