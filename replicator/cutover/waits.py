"""What a step of the switch waits for, in words; nothing where it is over."""

from collections.abc import Collection

from replicator.cutover.means import Means
from replicator.wording import counted


def undrained(means: Means, pipelines: Collection[str]) -> list[str]:
    """What is in the way of each."""
    found: list[str] = []
    for name, drain in means.drains().items():
        if name in pipelines:
            reasons = ["no fence"] if drain is None else drain.in_the_way
            found += [f"{name}: {reason}" for reason in reasons]
    return found


def waiting_messages(means: Means, held: Collection[str]) -> list[str]:
    """What is left in queues that were held, but for what is delayed: that is forwarded when it comes. A daemon that
    has only begun knows of nothing.
    """
    drains = means.drains()
    left = [name for name in held if (drain := drains.get(name)) is None or drain.emptied_at is None]
    return [f"{name}: {_left_in(means, name)}" for name in left]


def _left_in(means: Means, name: str) -> str:
    """By the latest count, which may be old."""
    queue = means.statuses[name].queue if name in means.statuses else None
    if queue is None or queue.held:
        return "how many messages are left is not known yet"
    if messages := queue.visible + queue.in_flight:
        return counted(messages, "message is", "messages are") + " still to be forwarded"
    return "no message was left by the latest count, which several counts must show"


def under_way(means: Means, pipelines: Collection[str]) -> list[str]:
    """What may still change the targets of these."""
    found: list[str] = []
    for name, drain in means.drains().items():
        if name in pipelines:
            known = None if drain is None else drain.under_way
            told = ["what is under way is not known yet"] if known is None else known
            found += [f"{name}: {what}" for what in told]
    return found
