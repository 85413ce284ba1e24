"""
Every failure this server reports on purpose:

* ConvexMcpError
  x InputError                    another call with other arguments may succeed
    + NotFound                      not_found
    + InvalidArguments              invalid_arguments
    + PathRefused                   path_refused
    + EditMismatch                  edit_mismatch
    + StaleBase                     stale_base
    + TooLarge                      too_large
  x AccessError                   a person or the operator has to act first
    + NotConnected                  not_connected
    + CredentialRejected            credential_rejected
    + ActionNotAllowed              action_not_allowed
    + BlockedByPolicy               blocked_by_policy
    + Declined                      declined
    + CannotAsk                     cannot_ask
  x PushFailed                    a push could not begin
    + PushUnderWay                  push_under_way
  x FunctionFailed                the app's own code threw
    + FunctionThrew                 function_threw
  x LimitReached                  this server has given the principal as much as they may have now
    + TooManyCalls                  too_many_calls
    + TooManyPushes                 too_many_pushes
    + TooManyWorkspaces             too_many_workspaces
    + DeadlinePassed                deadline_passed
  x UpstreamError                 Convex did not answer as it should
    + QuotaReached                  quota_reached
    + SsoRequired                   sso_required
    + ConvexUnreachable             convex_unreachable
    + OutcomeUnknown                outcome_unknown
    + RateLimited                   rate_limited
    + UnexpectedAnswer              unexpected_answer
  x SandboxError                  this machine or the sandbox is not fit for the work
    + ToolMissing                   tool_missing
    + DirectoryUnusable             directory_unusable
    + DiskFull                      disk_full
    + PortInUse                     port_in_use
    + IsolationUnavailable          isolation_unavailable
    + InstallFailed                 install_failed
    + SandboxLost                   sandbox_lost
    + SandboxBusy                   sandbox_busy
    + EngineFailed                  engine_failed
    + StoreCorrupt                  store_corrupt
    + StoreInUse                    store_in_use
    + StoreUnreachable              store_unreachable
    + SettingsInvalid               settings_invalid

A leaf has a `code` that never changes once released. Anything else that reaches
the tool boundary is a bug in this server and is reported as `internal_error`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Retry = Literal["never", "same_call", "changed_call", "after_person"]


class ConvexMcpError(Exception):
    """Base class. Never raised itself: raise a leaf, which has a `code`."""

    code: ClassVar[str]
    retry: ClassVar[Retry] = "never"

    def __init__(self, message: str, *, next_step: str) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class InputError(ConvexMcpError):
    """The call cannot succeed with these arguments."""

    retry: ClassVar[Retry] = "changed_call"


class NotFound(InputError):
    """No file, function, table, push or deployment has that name."""

    code = "not_found"


class InvalidArguments(InputError):
    """The arguments do not fit what the tool or the function accepts."""

    code = "invalid_arguments"


class PathRefused(InputError):
    """The path is outside the workspace, or one that tools may not touch."""

    code = "path_refused"


class EditMismatch(InputError):
    """The text to replace does not stand in the file exactly once."""

    code = "edit_mismatch"


class StaleBase(InputError):
    """The file has changed since the hash that the change was based on."""

    code = "stale_base"


class TooLarge(InputError):
    """A file, a change set or an answer exceeds its bound."""

    code = "too_large"


class AccessError(ConvexMcpError):
    """The call is understood, and this server may not carry it out."""

    retry: ClassVar[Retry] = "after_person"


class NotConnected(AccessError):
    """The call needs a connection to Convex that this principal does not have."""

    code = "not_connected"


class CredentialRejected(AccessError):
    """The deployment answered 401: the stored credential is wrong, expired or revoked."""

    code = "credential_rejected"


class ActionNotAllowed(AccessError):
    """The deployment answered 403: the credential lacks a role action, such as `deployment:deploy`."""

    code = "action_not_allowed"


class BlockedByPolicy(AccessError):
    """This server's own settings forbid the call, such as a write to a prod deployment."""

    code = "blocked_by_policy"


class Declined(AccessError):
    """The person was asked, and said no."""

    code = "declined"


class CannotAsk(AccessError):
    """The call needs a person's consent, and the client cannot show a question."""

    code = "cannot_ask"


class PushFailed(ConvexMcpError):
    """A push could not begin. One that began ends as a `PushResult`, whatever its outcome."""


class PushUnderWay(PushFailed):
    """Another push, or other work of which only one may run, holds the lease."""

    code = "push_under_way"
    retry: ClassVar[Retry] = "same_call"


class FunctionFailed(ConvexMcpError):
    """A function of the app ran and failed. Its text is data, not ours."""

    retry: ClassVar[Retry] = "changed_call"


class FunctionThrew(FunctionFailed):
    """The function, or its argument or return validator, threw."""

    code = "function_threw"


class LimitReached(ConvexMcpError):
    """The call is right, and comes too soon after others or takes too much."""

    retry: ClassVar[Retry] = "same_call"

    def __init__(self, message: str, *, next_step: str, retry_after_s: int | None = None) -> None:
        super().__init__(message, next_step=next_step)
        self.retry_after_s = retry_after_s
        """Seconds; None where time alone changes nothing."""


class TooManyCalls(LimitReached):
    """The principal calls too often, or too many of their calls are under way."""

    code = "too_many_calls"


class TooManyPushes(LimitReached):
    """The push has waited for its turn for as long as one may."""

    code = "too_many_pushes"


class TooManyWorkspaces(LimitReached):
    """The principal has as many workspaces as one may, or too many are open."""

    code = "too_many_workspaces"


class DeadlinePassed(LimitReached):
    """The call did not end in time and was stopped."""

    code = "deadline_passed"


class UpstreamError(ConvexMcpError):
    """Convex could not be reached, or did not answer as its API says."""


class QuotaReached(UpstreamError):
    """The team has as many projects or deployments as its plan allows."""

    code = "quota_reached"
    retry: ClassVar[Retry] = "after_person"


class SsoRequired(UpstreamError):
    """The team wants its members to sign in by single sign-on first."""

    code = "sso_required"
    retry: ClassVar[Retry] = "after_person"


class ConvexUnreachable(UpstreamError):
    """No answer arrived: DNS, TLS, a refused connection or a timeout."""

    code = "convex_unreachable"
    retry: ClassVar[Retry] = "same_call"


class OutcomeUnknown(UpstreamError):
    """The call was sent and no answer came back: it may have taken effect."""

    code = "outcome_unknown"


class RateLimited(UpstreamError):
    """Convex answered 429 or 503."""

    code = "rate_limited"
    retry: ClassVar[Retry] = "same_call"


class UnexpectedAnswer(UpstreamError):
    """The answer does not have the shape that Convex documents."""

    code = "unexpected_answer"


class SandboxError(ConvexMcpError):
    """This machine, or the sandbox, cannot do the work as it is."""

    retry: ClassVar[Retry] = "after_person"


class ToolMissing(SandboxError):
    """Node, npm or another program is absent or too old."""

    code = "tool_missing"


class DirectoryUnusable(SandboxError):
    """A directory does not exist, is not a directory, or cannot be written."""

    code = "directory_unusable"


class DiskFull(SandboxError):
    """A write failed for want of space. Nothing was changed."""

    code = "disk_full"


class PortInUse(SandboxError):
    """Another program listens on a port that this server needs."""

    code = "port_in_use"


class IsolationUnavailable(SandboxError):
    """The isolation that the operator asked for does not work on this machine."""

    code = "isolation_unavailable"


class InstallFailed(SandboxError):
    """npm could not install the workspace's packages."""

    code = "install_failed"


class SandboxLost(SandboxError):
    """The workspace's sandbox vanished, or cannot be reached. Its files are kept on this side."""

    code = "sandbox_lost"
    retry: ClassVar[Retry] = "same_call"


class SandboxBusy(SandboxError):
    """The provider of sandboxes has no room or no time for another one now."""

    code = "sandbox_busy"
    retry: ClassVar[Retry] = "same_call"


class EngineFailed(SandboxError):
    """The embedded deployment's function runner died or did not answer in time. It has been restarted."""

    code = "engine_failed"
    retry: ClassVar[Retry] = "same_call"


class StoreCorrupt(SandboxError):
    """The store cannot be read, or a record cannot be decrypted with the keys at hand."""

    code = "store_corrupt"


class StoreInUse(SandboxError):
    """Another process has the store open, and one of the two has to be alone with it."""

    code = "store_in_use"


class StoreUnreachable(SandboxError):
    """The database does not answer, broke off, or has no room for the call now."""

    code = "store_unreachable"
    retry: ClassVar[Retry] = "same_call"


class SettingsInvalid(SandboxError):
    """A setting, flag or record that the operator gave is unknown or out of range."""

    code = "settings_invalid"
