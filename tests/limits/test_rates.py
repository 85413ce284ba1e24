"""How often a principal may call."""

from __future__ import annotations

from mcp_convex.domain.models import PrincipalId
from mcp_convex.limits.rates import Rates

ADA, BOB = PrincipalId("ada"), PrincipalId("bob")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_at_once_and_then_the_rate_holds():
    clock = Clock()
    rates = Rates(60, 3, clock=clock)
    assert [0, 0, 0, 1, 2] == [rates.take(ADA, patience_s=2) for _ in range(5)]
    assert 3 == rates.take(ADA, patience_s=2)
    assert 3 == rates.take(ADA, patience_s=2), "what was turned away does not count"
    assert 0 == rates.take(BOB, patience_s=2)
    clock.now += 3
    assert 0 == rates.take(ADA, patience_s=2)


def test_a_minute_lets_as_many_through_as_it_may():
    clock = Clock()
    rates = Rates(120, 10, clock=clock)
    passed = 0
    for _ in range(6_000):
        passed += rates.take(ADA, patience_s=0) == 0
        clock.now += 0.01
    assert 120 <= passed <= 130


def test_principals_who_have_not_called_for_a_while_are_forgotten():
    clock = Clock()
    rates = Rates(60, 10, clock=clock)
    for number in range(5_000):
        rates.take(PrincipalId(f"p{number}"), patience_s=0)
        clock.now += 0.1
    assert len(rates._full_at) < 1_100
