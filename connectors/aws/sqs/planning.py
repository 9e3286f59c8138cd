"""What is done to a queue, by how it may be consumed. Pure."""

from replicator.planning.model import Intended, When

TAKEN = "messages are received, kept invisible to others meanwhile, and deleted once they were sent on"


def planned_of_queue(name: str, *, receives: bool) -> list[Intended]:
    """`receives`: from the start on, and not only from the switch on."""
    kept = Intended(When.NEVER, f"queue {name}: nothing is sent to it, purged, or set; what is refused stays in it")
    if receives:
        return [Intended(When.RUNNING, f"queue {name}: {TAKEN}"), kept]
    held = f"queue {name} is held: only its counts are read, and nothing is received"
    released = f"queue {name}: {TAKEN} (forwarded when both sides are off)"
    return [Intended(When.RUNNING, held), Intended(When.SWITCH, released), kept]
