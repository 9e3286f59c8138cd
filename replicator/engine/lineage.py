"""Which partitions may be read when, and what that says about time. Pure: no clock, no I/O.

A partition continues its parents: it is started only when they are finished durably, which keeps the order per key, and
what it has not yet proven itself it inherits from them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from replicator.errors import PositionLostError
from replicator.model import Checkpoint, Partition


class Lineage:
    """The unbounded partitions of one source, by id, as far as they are known."""

    def __init__(self, checkpoints: Iterable[Checkpoint] = ()) -> None:
        self.checkpoints: dict[str, Checkpoint] = {}
        self._listed_before = False
        self.load(checkpoints)

    def load(self, checkpoints: Iterable[Checkpoint], *, listed_before: bool = False) -> None:
        """Takes up what the state store remembers; bounded partitions are not its business.

        `listed_before`: this copy has made a listing, even if nothing was in it.
        """
        self.checkpoints.update((c.partition.id, c) for c in checkpoints if not c.partition.bounded)
        self._listed_before = listed_before or bool(self.checkpoints)

    def discover(self, listing: Iterable[Partition]) -> list[Checkpoint]:
        """Takes in a complete listing; returns the checkpoints that are new and must be saved before they are read.

        On the very first listing, parents that the source no longer lists ended before the copy began. Later they can
        only have been trimmed unread: raises PositionLostError.
        """
        listed = {partition.id: partition for partition in listing}
        self._check_log(listed.values())
        over = self._forgotten(listed)
        new: list[Checkpoint] = []
        for partition in listed.values():
            if partition.id in self.checkpoints or partition.id in over:
                continue
            known = tuple(p for p in partition.parents if p in self.checkpoints or p in listed)
            if len(known) < len(partition.parents) and self._listed_before:
                gone = ", ".join(sorted(set(partition.parents) - set(known)))
                raise PositionLostError(
                    f"partition {partition.id} continues {gone}, which was trimmed before it was read"
                )
            new.append(Checkpoint(replace(partition, parents=known)))
        self.checkpoints.update((c.partition.id, c) for c in new)
        self._listed_before = True
        return new

    def _forgotten(self, listed: Mapping[str, Partition]) -> set[str]:
        """What was finished and forgotten, and before it: a listing may be older than the one that lacked it."""
        over: set[str] = set()
        parents = [p for c in self.checkpoints.values() for p in c.partition.parents if p not in self.checkpoints]
        while parents:
            id_ = parents.pop()
            if id_ not in over:
                over.add(id_)
                parents += listed[id_].parents if id_ in listed else ()
        return over

    def _check_log(self, listing: Iterable[Partition]) -> None:
        known = {c.partition.log for c in self.checkpoints.values()}
        strange = {partition.log for partition in listing} - known
        if known and strange:
            raise PositionLostError(
                f"the source records changes in another log now ({', '.join(sorted(strange))}): "
                "it was turned off or replaced, and what was committed in between is in neither"
            )

    def startable(self) -> list[Checkpoint]:
        """Unfinished partitions whose parents are all finished."""
        return [
            checkpoint
            for checkpoint in self.checkpoints.values()
            if not checkpoint.finished and all(self._is_finished(p) for p in checkpoint.partition.parents)
        ]

    def settled(self, listed_after: Iterable[str]) -> list[Checkpoint]:
        """Partitions newly known to be continued: finished before the listing was begun, and with a child known.

        `listed_after` are the ids that had been finished for long enough when the latest complete listing was begun.
        Returns their checkpoints, marked and to be saved; from now on their children answer for time.
        """
        old_enough = set(listed_after)
        parents = {parent for c in self.checkpoints.values() for parent in c.partition.parents}
        newly = [
            replace(checkpoint, succeeded=True)
            for checkpoint in self.checkpoints.values()
            if checkpoint.finished
            and not checkpoint.succeeded
            and checkpoint.partition.id in old_enough
            and checkpoint.partition.id in parents
        ]
        self.checkpoints.update((c.partition.id, c) for c in newly)
        return newly

    def forgettable(self, listing: Iterable[Partition]) -> list[str]:
        """Succeeded partitions that are no longer listed and whose children have succeeded or begun on their own."""
        listed = {partition.id for partition in listing}
        leaning = {
            parent
            for c in self.checkpoints.values()
            if c.replicated_through is None or not c.finished
            for parent in c.partition.parents
        }
        return [
            id_
            for id_, checkpoint in self.checkpoints.items()
            if checkpoint.succeeded and id_ not in listed and id_ not in leaning
        ]

    def forget(self, ids: Iterable[str]) -> None:
        """Drops partitions that `forgettable` named."""
        for id_ in ids:
            del self.checkpoints[id_]

    def update(self, checkpoint: Checkpoint) -> None:
        """Takes in what a partition has reached."""
        self.checkpoints[checkpoint.partition.id] = checkpoint

    def replicated_through(self) -> datetime | None:
        """The instant before which every change is applied, None when any partition cannot tell.

        The minimum over all partitions that have not succeeded to their children.
        """
        known: dict[str, datetime | None] = {}
        claims = [self._claim(c, known) for c in self.checkpoints.values() if not c.succeeded]
        if not claims or any(claim is None for claim in claims):
            return None
        return min(claim for claim in claims if claim is not None)

    def claim(self, checkpoint: Checkpoint) -> datetime | None:
        """What one partition proves, or else what its parents did: nothing in it is older than their end."""
        return self._claim(checkpoint, {})

    def _claim(self, checkpoint: Checkpoint, known: dict[str, datetime | None]) -> datetime | None:
        """`known` keeps the claims found so far: after splits and merges many lines of descent lead to one ancestor."""
        for parent in checkpoint.partition.parents:
            if parent in self.checkpoints and parent not in known:
                known[parent] = self._claim(self.checkpoints[parent], known)
        inherited = [known[parent] for parent in checkpoint.partition.parents if parent in known]
        floors = [claim for claim in inherited if claim is not None]
        floor = min(floors) if floors and len(floors) == len(inherited) else None
        own = checkpoint.replicated_through
        if own is None or floor is None:
            return own or floor
        return max(own, floor)

    def _is_finished(self, id_: str) -> bool:
        checkpoint = self.checkpoints.get(id_)
        return checkpoint is None or checkpoint.finished
