"""What messages are like, as a sender makes them up and as SQS is told of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

DELAY_SHARE = 0.15
LONGEST_DELAY_S = 3
REPEATED_SHARE = 0.1
TRACE_SHARE = 0.2
REPEATED_BODIES = ("ping", '{"type":"heartbeat"}', " ")
"""Bodies that many messages have."""

STANDARD_BYTES = 200_000
PROPERTY_BYTES = 32_767
PROPERTIES_BYTES = 60_000
"""What a Service Bus queue of the Standard tier surely takes, of a message, an attribute, and all its attributes."""


@dataclass(frozen=True, slots=True)
class MessageAttribute:
    """An attribute: its type as SQS names it (`String`, `Number.int`, `Binary`, …), and bytes where it is binary."""

    type: str
    value: str | bytes


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be sent. `delay_s` and groups are for those who may give them: a FIFO queue delays none."""

    body: str
    attributes: Mapping[str, MessageAttribute] = field(default_factory=dict)
    group: str | None = None
    trace: str | None = None
    delay_s: int = 0

    @property
    def size_bytes(self) -> int:
        """As SQS counts: the body, and name, type and value of each attribute."""
        return len(self.body.encode()) + self.attributes_bytes

    @property
    def attributes_bytes(self) -> int:
        return sum(len(name) + len(one.type) + _value_bytes(one) for name, one in self.attributes.items())

    @property
    def is_portable(self) -> bool:
        """Whether a Service Bus queue of the Standard tier surely takes it, binary attributes as base64."""
        return (
            self.size_bytes <= STANDARD_BYTES
            and self.attributes_bytes <= PROPERTIES_BYTES * 3 // 4
            and all(_value_bytes(one) <= PROPERTY_BYTES * 3 // 4 for one in self.attributes.values())
        )


def parameters(message: NewMessage) -> dict[str, Any]:
    """Parameters of send_message, or of an entry of a batch, without those of the queue."""
    request: dict[str, Any] = {"MessageBody": message.body}
    if message.attributes:
        request["MessageAttributes"] = {name: _described(one) for name, one in message.attributes.items()}
    if message.trace is not None:
        request["MessageSystemAttributes"] = {"AWSTraceHeader": _described(MessageAttribute("String", message.trace))}
    if message.group is not None:
        request["MessageGroupId"] = message.group
    if message.delay_s:
        request["DelaySeconds"] = message.delay_s
    return request


def some_message(chance: random.Random, number: int, group: str | None) -> NewMessage:
    """An ordinary message; the same random state gives the same one. Those of a group are never delayed."""
    body = json.dumps(
        {"number": number, "sku": f"SKU-{chance.randrange(10_000)}", "note": "ü 😀" * chance.randrange(9)}
    )
    if chance.random() < REPEATED_SHARE:
        body = chance.choice(REPEATED_BODIES)
    delay_s = chance.randint(1, LONGEST_DELAY_S) if group is None and chance.random() < DELAY_SHARE else 0
    trace = None
    if chance.random() < TRACE_SHARE:
        trace = (
            f"Root=1-{chance.getrandbits(32):08x}-{chance.getrandbits(96):024x};Parent={chance.getrandbits(64):016x}"
        )
    return NewMessage(body, _some_attributes(chance), group, trace, delay_s)


def _some_attributes(chance: random.Random) -> dict[str, MessageAttribute]:
    everything = {
        "tenant": MessageAttribute("String", chance.choice(("shop", "billing", "Zürich"))),
        "attempt": MessageAttribute("Number", str(chance.randrange(-(10**6), 10**6))),
        "price.net": MessageAttribute("Number.float", f"{chance.randrange(10**6) / 100:.2f}"),
        "exact": MessageAttribute("Number", str(chance.randrange(10**37, 10**38))),
        "signature": MessageAttribute("Binary", chance.randbytes(16)),
        "thumb-nail": MessageAttribute("Binary.png", chance.randbytes(200)),
        "payload_type": MessageAttribute("String.json", '{"schema": 1}'),
    }
    chosen = chance.sample(sorted(everything), chance.randint(0, len(everything)))
    return {name: everything[name] for name in chosen}


def _described(attribute: MessageAttribute) -> dict[str, Any]:
    member = "BinaryValue" if isinstance(attribute.value, bytes) else "StringValue"
    return {"DataType": attribute.type, member: attribute.value}


def _value_bytes(attribute: MessageAttribute) -> int:
    return len(attribute.value if isinstance(attribute.value, bytes) else attribute.value.encode())
