"""Messages as the engine carries them, and what sources and targets of messages have in common.

The text of a record's key is the message's id, which stays the same when it is delivered again. Messages have no state
that could be looked up, compared or repaired: they are delivered, passed on, and settled.
"""

import base64
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic

from replicator.model import (
    ABSENT,
    EVERYBODYS,
    Barriers,
    Change,
    Foreign,
    GuardedResult,
    Listed,
    Marker,
    Observed,
    R,
    Rule,
    Watched,
)
from replicator.objects import Content
from replicator.ports import ReadBudget


@dataclass(frozen=True, slots=True)
class Attribute:
    """A message attribute: its type as the source names it (`String`, `Number.int`, `Binary`, …) and its value."""

    type: str
    value: str | bytes


@dataclass(frozen=True, slots=True)
class Payload:
    """The body of a message that lies beside the queue: `size` bytes, read where they are needed.

    `obstacle` is why it cannot be read, empty where nothing stands against it; then `content` is there.
    """

    size: int = 0
    content: Content | None = None
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `group` is None where the source has none; `ordered` says that messages of a group keep their order
    (otherwise the group only shares fairly).

    `sequence` is the source's number within the queue, opaque, empty where it has none. `received` counts how often the
    source has delivered it, this time included. `payload` is what is to be delivered instead of a body that only
    points to it; None where the body is what is to be delivered.
    """

    id: str
    body: str
    sent_at: datetime
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    group: str | None = None
    ordered: bool = False
    deduplication_id: str | None = None
    sequence: str = ""
    trace_header: str | None = None
    received: int = 1
    queue: str = ""
    payload: Payload | None = field(default=None, compare=False)


def reference(message: Message) -> dict[str, str]:
    """What finds a message in its queue, beside its id."""
    found = {"queue": message.queue, "sent_at": message.sent_at.isoformat(), "sequence": message.sequence}
    return {name: value for name, value in found.items() if value}


def body_text(message: Message) -> str:
    """A message's body and attributes as JSON."""
    attributes = {
        name: {"type": a.type, "value": a.value if isinstance(a.value, str) else base64.b64encode(a.value).decode()}
        for name, a in message.attributes.items()
    }
    return json.dumps({"body": message.body, "group": message.group, "attributes": attributes}, ensure_ascii=False)


class DeliveringSource(Generic[R]):
    """What a source has to say that delivers messages instead of keeping records: it cannot be asked for one."""

    async def lookup(self, keys: Sequence[str]) -> dict[str, Change[R]]:
        """Never called, since `redeliver` answers True."""
        raise NotImplementedError("messages cannot be looked up")

    async def missing(self, keys: Sequence[str], since: datetime | None = None) -> set[str]:
        """Never called, since no target of messages lists any."""
        raise NotImplementedError("messages cannot be looked up")

    async def content_digest(self, change: Change[R]) -> str | None:
        """A message is whole."""
        return None

    @property
    def barriers(self) -> Barriers:
        """Neither side can be asked for a message."""
        return Barriers.NOTHING

    def is_key(self, text: str) -> bool:
        """There is nothing to be looked up."""
        return False

    @property
    def stale_rows(self) -> bool:
        """A message is delivered as it was sent."""
        return False

    @property
    def relist_interval(self) -> timedelta | None:
        """There is no listing."""
        return None

    @property
    def budget(self) -> ReadBudget | None:
        """Whoever receives takes nothing from anybody's budget."""
        return None


class PassingTarget(Generic[R]):
    """What a target has to say that passes messages on and keeps none: there is nothing to compare, repair or own."""

    async def is_empty(self) -> bool:
        """Whatever is in the queue does not concern what is added."""
        return True

    async def observe(self, keys: Sequence[str]) -> dict[str, Observed]:
        """Nothing is known of what was passed on."""
        return dict.fromkeys(keys, ABSENT)

    async def replace(
        self, changes: Mapping[str, Change[R]], observed: Mapping[str, Observed], rule: Rule
    ) -> GuardedResult:
        """Never called: what a source of messages delivers is never looked up."""
        raise NotImplementedError("messages cannot be replaced")

    async def content_digest(self, key: str) -> str | None:
        """Nothing is held."""
        return None

    def fingerprint(self, change: Change[R]) -> str | None:
        """Nothing is held."""
        return None

    async def scan(self, position: str | None) -> AsyncGenerator[Listed, None]:
        """Nothing is held."""
        for page in tuple[Listed, ...]():
            yield page

    async def watch(self, position: str | None) -> AsyncGenerator[Watched, None]:
        """Whoever else sends to the queue may do so."""
        for page in tuple[Watched, ...]():
            yield page

    async def still_foreign(self, records: Sequence[Foreign]) -> list[Foreign]:
        """None ever was."""
        return []

    async def remove_foreign(self, handles: Sequence[str]) -> None:
        """Nothing is held."""

    async def sweep(self, removed: Callable[[int], None]) -> None:
        """Nothing was held off."""

    async def read_marker(self) -> Marker | None:
        """Any number of writers do no harm: none could undo what another one has done."""
        return EVERYBODYS

    async def write_marker(self, marker: Marker, previous: Marker | None) -> bool:
        """Nothing to claim."""
        return True
