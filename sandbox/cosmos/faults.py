"""Faults the server can be told to commit, to see what clients make of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

from sandbox.fault_rules import FaultRules

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


class Faults(FaultRules[Fault]):
    """The rules in force; the oldest one that matches and strikes decides. `seed` fixes chances."""

    def strike(self, operation: str, method: str, path: str) -> Fault | None:
        """The fault this request is to suffer, if any; counts it."""
        return self.first(lambda fault: fault.matches(operation, method, path))
