"""The state store as the loops of a member need it: the leader's, which the leader alone writes."""

from collections.abc import Sequence

from replicator.model import Checkpoint, DeadLetter, Rejection
from replicator.replicas.channel import Channel, Params
from replicator.replicas.wire import CHECKPOINT, LETTERS, REJECTIONS


class Kept:
    """Of one partition, by its number. Every call raises ChannelClosedError when the leader is gone."""

    def __init__(self, channel: Channel, number: int) -> None:
        self._channel = channel
        self._number = number
        self._serial = 0
        self._unsaid: Checkpoint | None = None

    async def save_checkpoints(self, pipeline: str, checkpoints: Sequence[Checkpoint]) -> None:
        """See `PartitionStore`; there is one."""
        for checkpoint in checkpoints:
            self._unsaid = None
            await self._channel.call("save", self._numbered(checkpoint))

    def advanced(self, checkpoint: Checkpoint) -> None:
        """How far it has come, without a need to save that: `tell` says so in time."""
        self._unsaid = checkpoint

    async def tell(self) -> None:
        """Tells the leader what it was not told yet."""
        unsaid, self._unsaid = self._unsaid, None
        if unsaid is not None:
            await self._channel.tell("advanced", self._numbered(unsaid))

    def _numbered(self, checkpoint: Checkpoint) -> Params:
        """Messages may overtake each other: the leader heeds none behind a later one."""
        self._serial += 1
        return {"number": self._number, "serial": self._serial, "checkpoint": CHECKPOINT.write(checkpoint)}

    async def add_dead_letters(self, pipeline: str, partition: str, rejections: Sequence[Rejection]) -> None:
        """See `PartitionStore`."""
        params = {"pipeline": pipeline, "partition": partition, "rejections": REJECTIONS.write(list(rejections))}
        await self._channel.call("add_dead_letters", params)

    async def dead_letters_of(self, pipeline: str, keys: Sequence[str]) -> list[DeadLetter]:
        """See `PartitionStore`."""
        found = await self._channel.call("dead_letters_of", {"pipeline": pipeline, "keys": list(keys)})
        return LETTERS.read(found)

    async def resolve_dead_letters(self, letters: Sequence[DeadLetter]) -> int:
        """See `PartitionStore`."""
        return int(await self._channel.call("resolve_dead_letters", {"letters": LETTERS.write(list(letters))}))

    async def discarded(self, pipeline: str, keys: Sequence[str] | None = None) -> dict[str, str]:
        """See `PartitionStore`."""
        params = {"pipeline": pipeline, "keys": None if keys is None else list(keys)}
        return dict(await self._channel.call("discarded", params))
