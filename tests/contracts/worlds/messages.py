"""What worlds of messages share: each names its own number in its body."""

from replicator.clocks import utc_now
from replicator.messages import Message
from replicator.model import Change, Operation


def body_of(name: str, number: int) -> str:
    """What is sent."""
    return f"{name} {number}"


def number_of(body: str) -> int:
    """The inverse."""
    return int(body.rpartition(" ")[2])


async def state_of(change: Change[Message]) -> int | None:
    """The number in a message."""
    assert change.operation is Operation.UPSERT, "a message is never gone"
    assert change.record.id == change.key
    return number_of(change.record.body)


def group_of(change: Change[Message]) -> str | None:
    """The group that keeps its order."""
    return change.record.group if change.record.ordered else None


def sent(name: str, body: str, group: str | None = None) -> Change[Message]:
    """A message as a source delivers it."""
    message = Message(name, body, utc_now(), group=group, ordered=group is not None)
    return Change(name, Operation.UPSERT, message, committed_at=message.sent_at)
