"""The shards of a stream: the complete listing, with parents."""

from typing import Any

import anyio

from connectors.aws.calls import Caller
from replicator.model import Partition

RELIST_PAUSE_S = 0.5


class ShardListing:
    """Lists the shards of one stream."""

    def __init__(self, caller: Caller, client: Any, stream_arn: str) -> None:
        self._caller = caller
        self._client = client
        self._arn = stream_arn

    async def partitions(self) -> tuple[Partition, ...]:
        """All shards the stream knows, each once.

        Pages are not a snapshot: a shard may be listed before its parent is. So a listing with parents that are not in
        it is made again, and both are taken together; what then is still missing has been trimmed.
        """
        shards = await self._pages()
        if _orphans(shards):
            await anyio.sleep(RELIST_PAUSE_S)
            shards = {**shards, **await self._pages()}
        return tuple(
            Partition(id=partition_id(self._arn, id_), bounded=False, parents=self._parents(parent), log=self._arn)
            for id_, parent in shards.items()
        )

    async def _pages(self) -> dict[str, str | None]:
        """Every shard's id with its parent's."""
        shards: dict[str, str | None] = {}
        page: dict[str, str] = {}
        while True:
            answer = await self._caller.call(self._client, "describe_stream", StreamArn=self._arn, **page)
            description = answer["StreamDescription"]
            shards.update((shard["ShardId"], shard.get("ParentShardId")) for shard in description["Shards"])
            last = description.get("LastEvaluatedShardId")
            if not last:
                return shards
            page = {"ExclusiveStartShardId": last}

    def _parents(self, parent: str | None) -> tuple[str, ...]:
        return (partition_id(self._arn, parent),) if parent else ()


def partition_id(stream_arn: str, shard_id: str) -> str:
    """Shard ids are unique within a stream only; the label tells the streams of a table apart."""
    return f"{stream_arn.rsplit('/', 1)[-1]}/{shard_id}"


def shard_id(partition: Partition) -> str:
    """The inverse of `partition_id`."""
    return partition.id.rsplit("/", 1)[-1]


def _orphans(shards: dict[str, str | None]) -> set[str]:
    return {parent for parent in shards.values() if parent and parent not in shards}
