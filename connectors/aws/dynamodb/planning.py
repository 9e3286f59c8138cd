"""What is done to a table: nothing is changed. Pure."""

from replicator.planning.model import Intended, When


def planned_of_table(name: str, read_units: float, *, follows: bool) -> list[Intended]:
    """Reads alone. A stream that is off or of another kind is told when connecting."""
    reads = f"table {name} is only read: scanned with up to {read_units:g} read units per second"
    intended = [Intended(When.RUNNING, f"{reads}, and its stream" if follows else reads)]
    kept = f"table {name}: neither items nor settings, stream, expiry or capacity are changed"
    return [*intended, Intended(When.NEVER, kept)]
