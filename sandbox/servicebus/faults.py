"""Faults the broker can be told to commit, to see what clients make of them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

from sandbox.fault_rules import FaultRules

When: TypeAlias = Literal["before", "after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One rule. It matches operations and says what happens to them.

    Matching, all that are given: `operation` is a pattern over names such as `send`, `send.batch`, `receive`,
    `settle.complete`, `settle.*`, `attach.send`, `manage.renew-lock` or `cbs`; `queue` a pattern over queue names.
    The first `skip` matches pass; then it strikes `count` times (None: always), each with `probability`.

    Effect, in this order: wait `delay_s`; then `cut` the connection, `stall` (never answer), or refuse with
    `condition`, which for `detach` ends the link. A rule with none of these only delays. `when` says whether it
    strikes before the operation or after it took effect: refused `after` means stored and called an error. A
    delayed operation takes effect even if its client has gone away in the meantime, and others overtake it.
    """

    operation: str | None = None
    queue: str | None = None
    skip: int = 0
    count: int | None = None
    probability: float = 1.0
    when: When = "before"
    delay_s: float = 0.0
    cut: bool = False
    stall: bool = False
    condition: str | None = None
    detach: bool = False

    def matches(self, operation: str, queue: str) -> bool:
        """Whether an operation is meant."""
        return (self.operation is None or fnmatchcase(operation, self.operation)) and (
            self.queue is None or fnmatchcase(queue.casefold(), self.queue.casefold())
        )


class Faults(FaultRules[Fault]):
    """The rules in force; the oldest one that matches and strikes decides. `seed` fixes chances."""

    def strike(self, operation: str, queue: str) -> Fault | None:
        """The fault this operation is to suffer, if any; counts it."""
        return self.first(lambda fault: fault.matches(operation, queue))
