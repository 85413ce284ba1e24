"""The form in which repairs are written down."""

from __future__ import annotations

from typing import NamedTuple


class Repair(NamedTuple):
    r"""
    The smallest repair of one thing that can be wrong, written for the agent that reads it.

    It fits a diagnostic whose whole code is *codes*, and where *about* is found in the file, the
    message and the snippet, a line each. *text* may quote a named group as `\g<name>`.
    """

    codes: str
    text: str
    about: str = ""
