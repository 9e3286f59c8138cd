"""Several changes of a key: become its last one, or are applied one after the other. Pure."""

from collections import Counter
from collections.abc import Iterable

from replicator.model import Change, R


def fold(changes: Iterable[Change[R]]) -> list[Change[R]]:
    """The last change of each key, in the order in which the keys' last changes came."""
    last: dict[str, Change[R]] = {}
    for change in changes:
        last.pop(change.key, None)
        last[change.key] = change
    return list(last.values())


def runs(changes: Iterable[Change[R]]) -> list[list[Change[R]]]:
    """All changes, in runs to be applied one after the other: no key twice in one, and each key's in their order."""
    found: list[list[Change[R]]] = []
    seen: Counter[str] = Counter()
    for change in changes:
        if seen[change.key] == len(found):
            found.append([])
        found[seen[change.key]].append(change)
        seen[change.key] += 1
    return found
