"""Whether what has arrived at a Service Bus queue is what was sent to an SQS queue."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.workload.message_shapes import MessageAttribute
    from sandbox.workload.messages import Sent, SentMessage

MOST_NAMED = 20
OURS = "replicator_"
RENAMED = "replicator_attribute_"
"""Leads the property of an attribute whose own name begins like those of replicator's properties."""

Property: TypeAlias = str | int | float | bool | bytes | None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as a consumer is given it; `body` is the digest of its body."""

    id: str
    body: bytes
    properties: Mapping[str, Property]
    group: str | None


@dataclass(slots=True)
class Outcome:
    """What came of all that was sent; `named` are examples of what is wrong.

    `received` counts all that arrived. Of the messages `missing` did not; `extra` were never sent; `different` have
    another body, group or attributes; `disordered` came after a later one of their group. `duplicates` are further
    arrivals of an id; `repeated` those of messages whose sending was ambiguous, under an id of their own. Neither is
    wrong.
    """

    received: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    disordered: int = 0
    duplicates: int = 0
    repeated: int = 0
    named: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """All arrived as they were sent, nothing else did, and groups kept their order."""
        return not (self.missing or self.extra or self.different or self.disordered)


class Arrivals:
    """Judges what arrives, one by one; it remembers the ids that did."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self._seen: set[str] = set()
        self._last: dict[str | None, int] = {}
        self._doubtful = Counter(sent.doubtful)
        self._outcome = Outcome()

    def take(self, arrival: Arrival) -> None:
        """One delivery, in the order in which the queue delivers them."""
        self._outcome.received += 1
        sent = self._sent.messages.get(arrival.id)
        if sent is None:
            self._unknown(arrival)
        elif arrival.id in self._seen:
            self._outcome.duplicates += 1
        else:
            self._seen.add(arrival.id)
            self._compare(arrival, sent)

    def outcome(self) -> Outcome:
        """Once all has arrived that will."""
        missing = [message_id for message_id in self._sent.messages if message_id not in self._seen]
        named = [f"{message_id} is missing" for message_id in missing[:MOST_NAMED]]
        self._outcome.missing = len(missing)
        self._outcome.named = [*self._outcome.named, *named][:MOST_NAMED]
        return self._outcome

    def _unknown(self, arrival: Arrival) -> None:
        if self._doubtful[arrival.body] > 0:
            self._doubtful[arrival.body] -= 1
            self._outcome.repeated += 1
            return
        self._outcome.extra += 1
        self._name(f"{arrival.id} was never sent")

    def _compare(self, arrival: Arrival, sent: SentMessage) -> None:
        if wrong := list(_differences(arrival, sent, ordered=self._sent.ordered)):
            self._outcome.different += 1
            self._name(f"{arrival.id} has another {' and '.join(wrong)}")
        if not self._sent.ordered:
            return
        last = self._last.get(sent.group, -1)
        if sent.number < last:
            self._outcome.disordered += 1
            self._name(f"{arrival.id} came after a later one of group {sent.group}")
        self._last[sent.group] = max(last, sent.number)

    def _name(self, what: str) -> None:
        if len(self._outcome.named) < MOST_NAMED:
            self._outcome.named.append(what)


def _differences(arrival: Arrival, sent: SentMessage, *, ordered: bool) -> list[str]:
    wrong = []
    if arrival.body != sent.body:
        wrong.append("body")
    if ordered and arrival.group != sent.group:
        wrong.append("group")
    if not shows(sent.attributes, arrival.properties):
        wrong.append("set of attributes")
    return wrong


def shows(attributes: Mapping[str, MessageAttribute], properties: Mapping[str, Property]) -> bool:
    """Whether a consumer finds exactly these attributes, by name and value, among the properties.

    Those that replicator adds are passed over, and so is a trace context that the message had none of.
    """
    expected = {f"{RENAMED}{name}" if name.startswith(OURS) else name: one for name, one in attributes.items()}
    others = {
        name
        for name in properties.keys() - expected.keys()
        if name not in {"Diagnostic-Id", "traceparent"} and not name.startswith(OURS)
    }
    return not others and all(name in properties and is_value(one, properties[name]) for name, one in expected.items())


def is_value(attribute: MessageAttribute, value: Property) -> bool:
    """Text as text, bytes as bytes or base64, a number as one of exactly this value or as it was written."""
    if isinstance(attribute.value, bytes):
        return value in {attribute.value, base64.b64encode(attribute.value).decode()}
    if value == attribute.value or not attribute.type.startswith("Number"):
        return value == attribute.value
    try:
        return Decimal(repr(value)) == Decimal(attribute.value)
    except InvalidOperation:
        return False
