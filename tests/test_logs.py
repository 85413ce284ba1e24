"""Lines that strangers can cause: as many as an operator can read, and never so many that they fill a disk."""

from __future__ import annotations

import io
import logging

import pytest

from mcp_convex.logs import Sparing, _RedactingFormatter


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def written(clock):
    """Return what is written, but for when and by which logger."""
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)
    handler.setFormatter(_RedactingFormatter())
    handler.addFilter(Sparing(clock))
    loggers = [logging.getLogger(name) for name in ("of_strangers", "of_others")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    yield lambda: [line.partition(": ")[2] for line in shown.getvalue().splitlines()]
    for logger in loggers:
        logger.removeHandler(handler)


def refuse(reason: str, name: str = "of_strangers") -> None:
    logging.getLogger(name).warning("refused: %s", reason, extra={"seldom": reason})


def test_one_a_minute_is_written_for_each_reason_and_tells_of_those_before_it_that_were_not(clock, written):
    for _ in range(1_000):
        refuse("expired")
        refuse("audience")
    refuse("expired", "of_others")
    assert ["refused: expired", "refused: audience", "refused: expired"] == written()

    clock.now += 59.9
    refuse("expired")
    clock.now += 0.1
    refuse("expired")
    refuse("expired")
    clock.now += 60
    refuse("expired")
    assert [f"refused: expired ({count} more were left out)" for count in (1_000, 1)] == written()[3:]


def test_whatever_no_stranger_can_cause_is_written_each_time(written):
    for _ in range(3):
        logging.getLogger("of_others").warning("a push failed")
    assert ["a push failed"] * 3 == written()
