"""Faults the server can be told to commit, to see what clients make of them."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

When: TypeAlias = Literal["before", "after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One rule. It matches requests and says what happens to them.

    Matching, all that are given: `operation` is a pattern over names such as `item.upsert`,
    `item.*` or `pkranges.list`; `method` an HTTP method; `path` a regular expression searched in
    the decoded path. The first `skip` matches pass; then it strikes `count` times (None: always),
    each with `probability`.

    Effect, in this order: wait `delay_s`; then `cut` the connection or answer `status` with
    `substatus` and `retry_after_ms`; a rule with neither only delays. `when` says whether it strikes
    before the operation or after it took effect. A delayed request takes effect even if its client
    has gone away in the meantime.
    """

    operation: str | None = None
    method: str | None = None
    path: str | None = None
    skip: int = 0
    count: int | None = None
    probability: float = 1.0
    when: When = "before"
    delay_s: float = 0.0
    cut: bool = False
    status: int | None = None
    substatus: int | None = None
    retry_after_ms: int | None = None

    def __post_init__(self) -> None:
        try:
            re.compile(self.path or "")
        except re.error as error:
            raise ValueError(f"the path {self.path!r} is no regular expression: {error}") from error

    def matches(self, operation: str, method: str, path: str) -> bool:
        """Whether a request is meant."""
        return (
            (self.operation is None or fnmatchcase(operation, self.operation))
            and (self.method is None or self.method == method)
            and (self.path is None or re.search(self.path, path) is not None)
        )


@dataclass(slots=True)
class _Armed:
    fault: Fault
    matched: int = 0
    struck: int = 0


@dataclass(slots=True)
class Faults:
    """The rules in force; the oldest one that matches and strikes decides. `seed` fixes chances."""

    seed: int = 0
    _rules: dict[int, _Armed] = field(default_factory=dict)
    _last: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def add(self, fault: Fault) -> int:
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

    def rules(self) -> dict[int, Fault]:
        """The rules in force by their numbers."""
        return {number: armed.fault for number, armed in self._rules.items()}

    def strike(self, operation: str, method: str, path: str) -> Fault | None:
        """The fault this request is to suffer, if any; counts it."""
        for armed in self._rules.values():
            if armed.fault.matches(operation, method, path) and self._strikes(armed):
                return armed.fault
        return None

    def _strikes(self, armed: _Armed) -> bool:
        fault = armed.fault
        armed.matched += 1
        if armed.matched <= fault.skip or (fault.count is not None and armed.struck >= fault.count):
            return False
        if fault.probability < 1.0 and self._random.random() >= fault.probability:
            return False
        armed.struck += 1
        return True
