"""Which requests a fault strikes, and what it does to them.

Everything here is plain data, so that a rule reads the same in a test and as JSON at the control endpoint:

    {"action": {"kind": "cut_after"}, "method": "PUT", "path": "/docs/", "count": 1}
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from sandbox.faults.counters import Rate

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from types import TracebackType

    from sandbox.faults.wire import Message


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pass(_Plain):
    """Only counts: the search for a rule goes on. Its rule tells the hits and the peak rate of what it matches."""

    kind: Literal["pass"] = "pass"


class Delay(_Plain):
    """Waits before forwarding. What has arrived is delivered even if the client gives up meanwhile."""

    kind: Literal["delay"] = "delay"
    seconds: float = Field(ge=0)


class HoldDelivery(_Plain):
    """Resets the client at once and delivers the request later: a write that lands after later ones.

    Without `seconds` it is held until FaultProxy.release() is called.
    """

    kind: Literal["hold_delivery"] = "hold_delivery"
    seconds: float | None = Field(default=None, ge=0)


class CutBefore(_Plain):
    """Resets the client; the target never sees the request."""

    kind: Literal["cut_before"] = "cut_before"


class CutAfter(_Plain):
    """Forwards, waits for the whole response, so that the effect took place, then resets the client."""

    kind: Literal["cut_after"] = "cut_after"


class Answer(_Plain):
    """Answers in the target's place, without forwarding. Content-Length is added."""

    kind: Literal["answer"] = "answer"
    status: int = Field(ge=200, le=599)
    headers: dict[str, str] = {}
    body: bytes = b""


class Stall(_Plain):
    """Never answers, until the rule is lifted (then the request is forwarded) or the client leaves."""

    kind: Literal["stall"] = "stall"


class Duplicate(_Plain):
    """Delivers the request twice, one after the other, and returns the first response."""

    kind: Literal["duplicate"] = "duplicate"


class EditBody(_Plain):
    """Forwards the request with every match in its body replaced, for services that do not check signatures."""

    kind: Literal["edit_body"] = "edit_body"
    pattern: re.Pattern[str]
    replacement: str


Action = Annotated[
    Pass | Delay | HoldDelivery | CutBefore | CutAfter | Answer | Stall | Duplicate | EditBody,
    Field(discriminator="kind"),
]


class RuleSpec(_Plain):
    """A fault and the requests it strikes. Patterns are regular expressions, searched for, not anchored."""

    action: Action
    method: str | None = Field(default=None, description="exact method, any if absent")
    path: re.Pattern[str] | None = Field(default=None, description="sought in path and query as sent")
    headers: dict[str, re.Pattern[str]] = Field(default={}, description="name, in any case, to pattern")
    body: re.Pattern[str] | None = Field(default=None, description="sought in the body; up to 16 MiB are held")
    skip: int = Field(default=0, ge=0, description="matching requests to let through first")
    count: int | None = Field(default=None, ge=1, description="how often it strikes, without end if absent")
    probability: float = Field(default=1.0, ge=0, le=1, description="chance of striking a matching request")


class Rule:
    """A rule in force. Leave it as a context manager, or call lift(), to end it."""

    def __init__(self, rule_id: int, spec: RuleSpec, forget: Callable[[Rule], None]) -> None:
        self.id = rule_id
        self.spec = spec
        self.hits = 0
        self.rate = Rate()
        self.lifted = asyncio.Event()
        self._seen = 0
        self._forget = forget
        self._hit = asyncio.Event()
        self._headers = {name.lower(): pattern for name, pattern in spec.headers.items()}

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as it may."""
        return self.spec.count is not None and self.hits >= self.spec.count

    def matches_head(self, request: Message) -> bool:
        spec = self.spec
        return (
            (spec.method is None or spec.method == request.method)
            and (spec.path is None or spec.path.search(request.target) is not None)
            and all(p.search(request.headers.get(name, "")) for name, p in self._headers.items())
        )

    def matches_body(self, request: Message) -> bool:
        pattern = self.spec.body
        return pattern is None or pattern.search((request.body or b"").decode(errors="replace")) is not None

    def strikes(self, chance: random.Random) -> bool:
        """Decide about one matching request, and count it if struck."""
        self._seen += 1
        if self._seen <= self.spec.skip or chance.random() >= self.spec.probability:
            return False
        self.hits += 1
        self.rate.count()
        hit, self._hit = self._hit, asyncio.Event()
        hit.set()
        return True

    async def wait_for_hits(self, count: int = 1) -> None:
        """Return once it has struck `count` times. The request struck last may still be under way."""
        while self.hits < count:
            await self._hit.wait()

    def lift(self) -> None:
        """End the rule; what it stalls is forwarded. Harmless when repeated."""
        self.lifted.set()
        self._forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lift()


class RuleBook:
    """The rules in force, oldest first: the first that strikes decides."""

    def __init__(self, chance: random.Random) -> None:
        self.rules: dict[int, Rule] = {}
        self._chance = chance
        self._last_id = 0

    def add(self, spec: RuleSpec) -> Rule:
        self._last_id += 1
        rule = Rule(self._last_id, spec, self._forget)
        self.rules[rule.id] = rule
        return rule

    def _forget(self, rule: Rule) -> None:
        self.rules.pop(rule.id, None)

    def candidates(self, request: Message) -> list[Rule]:
        """Rules whose method, path and headers match."""
        return [rule for rule in self.rules.values() if not rule.spent and rule.matches_head(request)]

    def choose(self, candidates: list[Rule], request: Message) -> Rule | None:
        """The rule that strikes; `request.body` must be buffered if a candidate looks at it."""
        for rule in candidates:
            struck = not rule.spent and rule.matches_body(request) and rule.strikes(self._chance)
            if struck and not isinstance(rule.spec.action, Pass):
                return rule
        return None
