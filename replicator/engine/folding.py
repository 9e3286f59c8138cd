"""Several changes of a key become its last one."""

from collections.abc import Iterable

from replicator.model import Change, R


def fold(changes: Iterable[Change[R]]) -> list[Change[R]]:
    """The last change of each key, in the order in which the keys' last changes came."""
    last: dict[str, Change[R]] = {}
    for change in changes:
        last.pop(change.key, None)
        last[change.key] = change
    return list(last.values())
