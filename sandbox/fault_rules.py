"""Which of several fault rules strikes: what the local servers' faults have in common."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Limited(Protocol):
    """A rule: the first `skip` matches pass, then it strikes `count` times (None: always) with `probability`."""

    @property
    def skip(self) -> int: ...
    @property
    def count(self) -> int | None: ...
    @property
    def probability(self) -> float: ...


RuleT = TypeVar("RuleT", bound=Limited)


@dataclass(slots=True)
class _Armed(Generic[RuleT]):
    rule: RuleT
    matched: int = 0
    struck: int = 0


class FaultRules(Generic[RuleT]):
    """The rules in force; the oldest one that matches and strikes decides. `seed` fixes chances."""

    def __init__(self, seed: int = 0) -> None:
        self._rules: dict[int, _Armed[RuleT]] = {}
        self._last = 0
        self._random = random.Random(seed)

    def add(self, fault: RuleT) -> int:
        """Put a rule in force; returns its number."""
        self._last += 1
        self._rules[self._last] = _Armed(fault)
        return self._last

    def remove(self, number: int) -> None:
        """Take one rule back; an unknown number is ignored."""
        self._rules.pop(number, None)

    def clear(self) -> None:
        """Take all rules back."""
        self._rules.clear()

    def struck(self, number: int) -> int:
        """How often a rule has struck; 0 once it is removed."""
        return self._rules[number].struck if number in self._rules else 0

    def rules(self) -> dict[int, RuleT]:
        """The rules in force by their numbers."""
        return {number: armed.rule for number, armed in self._rules.items()}

    def first(self, matches: Callable[[RuleT], bool]) -> RuleT | None:
        """The rule that strikes among those that match; counts it."""
        for armed in self._rules.values():
            if matches(armed.rule) and self._strikes(armed):
                return armed.rule
        return None

    def _strikes(self, armed: _Armed[RuleT]) -> bool:
        rule = armed.rule
        armed.matched += 1
        if armed.matched <= rule.skip or (rule.count is not None and armed.struck >= rule.count):
            return False
        if rule.probability < 1.0 and self._random.random() >= rule.probability:
            return False
        armed.struck += 1
        return True
