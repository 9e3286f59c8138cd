"""The throughput budget throttles as a token bucket, and faults strike as told."""

from __future__ import annotations

import pytest

from sandbox.clock import Clock
from sandbox.cosmos.budget import Budget, page_charge, read_charge, write_charge
from sandbox.cosmos.errors import CosmosError
from sandbox.cosmos.faults import Fault, Faults


def test_charges_grow_with_started_kilobytes() -> None:
    assert (read_charge(10), read_charge(1_024), read_charge(1_025)) == (1, 1, 2)
    assert (write_charge(10), write_charge(3_000)) == (5, 15)
    assert page_charge(2_000, 100) == 2.5 + 2 + 1


def test_without_a_rate_everything_is_let_in() -> None:
    budget = Budget(Clock(lambda: 0.0))
    budget.spend(1e9)
    budget.admit()


def test_an_overdrawn_budget_names_the_time_after_which_it_lets_in_again() -> None:
    clock = Clock(lambda: 0.0)
    budget = Budget(clock)
    budget.set_rate(100)
    budget.admit()
    budget.spend(150)
    with pytest.raises(CosmosError) as refused:
        budget.admit()
    assert (refused.value.status, refused.value.substatus) == (429, 3200)
    assert refused.value.retry_after_ms is not None
    assert 500 <= refused.value.retry_after_ms <= 502
    clock.advance(refused.value.retry_after_ms / 1000)
    budget.admit()


def test_a_crowd_is_told_to_come_back_one_after_the_other() -> None:
    budget = Budget(Clock(lambda: 0.0))
    budget.set_rate(100)
    budget.spend(110)
    budget.spend(10)
    waits = []
    for _ in range(20):
        with pytest.raises(CosmosError) as refused:
            budget.admit()
        waits.append(refused.value.retry_after_ms or 0)
    assert [round(wait / 10) for wait in waits[:4]] == [20, 30, 40, 50]
    assert max(waits) <= 1_001, "whoever comes late is told a second and then to try again"


def test_a_budget_saves_up_one_second_only() -> None:
    clock = Clock(lambda: 0.0)
    budget = Budget(clock)
    budget.set_rate(100)
    clock.advance(3_600)
    budget.admit()
    budget.spend(101)
    with pytest.raises(CosmosError):
        budget.admit()


def test_a_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="forward"):
        Clock().advance(-1)


def strikes(faults: Faults, times: int, operation: str = "item.upsert") -> list[bool]:
    """Which of several equal requests are struck."""
    return [faults.strike(operation, "POST", "/dbs/d/colls/c/docs/") is not None for _ in range(times)]


def test_a_rule_strikes_after_skipping_and_as_often_as_told() -> None:
    faults = Faults()
    number = faults.add(Fault(operation="item.*", skip=1, count=2, status=503))
    assert strikes(faults, 5) == [False, True, True, False, False]
    assert faults.struck(number) == 2
    assert strikes(faults, 1, "pkranges.list") == [False]


def test_all_matchers_must_agree() -> None:
    faults = Faults()
    faults.add(Fault(method="GET", path="colls/c", status=503))
    assert strikes(faults, 1) == [False]
    faults.add(Fault(method="POST", path="colls/c/docs", status=503))
    assert strikes(faults, 1) == [True]


def test_chances_repeat_with_the_seed() -> None:
    runs = []
    for _ in range(2):
        faults = Faults(seed=3)
        faults.add(Fault(probability=0.5, status=449))
        runs.append(strikes(faults, 100))
    assert runs[0] == runs[1]
    assert 20 < sum(runs[0]) < 80


def test_rules_can_be_taken_back() -> None:
    faults = Faults()
    first = faults.add(Fault(status=408))
    faults.add(Fault(status=410))
    faults.remove(first)
    assert [fault.status for fault in faults.rules().values()] == [410]
    faults.clear()
    assert strikes(faults, 1) == [False]
