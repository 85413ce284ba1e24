"""How patient the gate is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Bounds in seconds; all of them end with the session's own deadline."""

    patience_s: float = 20.0
    """How long a transient answer is asked again."""
    first_pause_s: float = 0.25
    longest_pause_s: float = 4.0
    silence_s: float = 60.0
    """How long a deployment may keep silent, on a call that it does not have to work for."""
    optional_s: float = 10.0
    """The same, on a call that the push can do without."""
    idle_s: float = 600.0
    """How long a CLI that was started ahead is kept waiting for its push."""
    look_every_s: float = 5.0
    """How often it is asked whether the machine can still spare the memory."""
    most_waiting: int = 4
    """CLIs that were started ahead, of about 100 MB each, in all workspaces together."""
    proof_s: float = 5.0
    """Kept back from the deadline, to find out what became of a lost `finish_push`."""
