"""Lines that strangers can cause: as many as an operator can read, and never so many that they fill a disk."""

from __future__ import annotations

import io
import logging

import pytest

from mcp_convex.logs import Sparing


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def written(clock):
    """Return what is written; each line ends with how many were left out before it."""
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)
    handler.setFormatter(logging.Formatter("%(message)s %(left_out)s", defaults={"left_out": None}))
    handler.addFilter(Sparing(clock))
    loggers = [logging.getLogger(name) for name in ("of_strangers", "of_others")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    yield lambda: shown.getvalue().splitlines()
    for logger in loggers:
        logger.removeHandler(handler)


def refuse(reason: str, name: str = "of_strangers") -> None:
    logging.getLogger(name).warning("refused: %s", reason, extra={"seldom": reason})


def test_one_a_minute_is_written_for_each_reason_and_tells_of_those_before_it_that_were_not(clock, written):
    for _ in range(1_000):
        refuse("expired")
        refuse("audience")
    refuse("expired", "of_others")
    assert ["refused: expired None", "refused: audience None", "refused: expired None"] == written()

    clock.now += 59.9
    refuse("expired")
    clock.now += 0.1
    refuse("expired")
    refuse("expired")
    clock.now += 60
    refuse("expired")
    assert ["refused: expired 1000", "refused: expired 1"] == written()[3:]


def test_whatever_no_stranger_can_cause_is_written_each_time(written):
    for _ in range(3):
        logging.getLogger("of_others").warning("a push failed")
    assert ["a push failed None"] * 3 == written()
