"""The shards of a stream: the complete listing, with parents."""

import anyio

from connectors.aws.calls import Caller
from connectors.aws.dynamodb.sdk import StreamsClient
from connectors.aws.errors import AwsRefusal
from replicator.model import Partition

RELIST_PAUSE_S = 0.5

GONE = frozenset({"ResourceNotFoundException", "TrimmedDataAccessException"})
"""What is said of a shard whose records are all trimmed."""


class ShardListing:
    """Lists the shards of one stream."""

    def __init__(self, caller: Caller, client: StreamsClient, stream_arn: str) -> None:
        self._caller = caller
        self._client = client
        self.stream_arn = stream_arn
        self._gone: set[str] = set()

    async def partitions(self) -> tuple[Partition, ...]:
        """All shards the stream knows, each once.

        Pages are not a snapshot: a shard may be listed before its parent is. So a parent that is not listed must be
        proven to be gone, by the service's own word, or else the listing is made again and taken together.
        """
        shards = await self._pages()
        while await self._missing(shards):
            await anyio.sleep(RELIST_PAUSE_S)
            shards = {**shards, **await self._pages()}
        self._gone &= {parent for parent in shards.values() if parent}
        return tuple(
            Partition(
                id=partition_id(self.stream_arn, id_), bounded=False, parents=self._parents(parent), log=self.stream_arn
            )
            for id_, parent in shards.items()
        )

    async def may_list(self, shard: str) -> bool:
        """Whether a complete listing still shows the shard, or there is none: the whole stream is denied.

        What that means says `DynamoDbSource.follow_partitions`, which asks the table.
        """
        try:
            return shard in await self._pages()
        except AwsRefusal as refusal:
            if refusal.code != "ResourceNotFoundException":
                raise
            return True

    async def _missing(self, shards: dict[str, str | None]) -> bool:
        """Whether there are parents that are neither listed nor gone."""
        for orphan in {parent for parent in shards.values() if parent and parent not in shards} - self._gone:
            try:
                await self._caller.call(
                    self._client.get_shard_iterator,
                    StreamArn=self.stream_arn,
                    ShardId=orphan,
                    ShardIteratorType="TRIM_HORIZON",
                )
            except AwsRefusal as refusal:
                if refusal.code not in GONE:
                    raise
                self._gone.add(orphan)
            else:
                return True
        return False

    async def _pages(self) -> dict[str, str | None]:
        """Every shard's id with its parent's."""
        shards: dict[str, str | None] = {}
        page: dict[str, str] = {}
        while True:
            answer = await self._caller.call(self._client.describe_stream, StreamArn=self.stream_arn, **page)
            description = answer["StreamDescription"]
            shards.update((shard["ShardId"], shard.get("ParentShardId")) for shard in description["Shards"])
            last = description.get("LastEvaluatedShardId")
            if not last:
                return shards
            page = {"ExclusiveStartShardId": last}

    def _parents(self, parent: str | None) -> tuple[str, ...]:
        return (partition_id(self.stream_arn, parent),) if parent else ()


def partition_id(stream_arn: str, shard_id: str) -> str:
    """Shard ids are unique within a stream only; the label tells the streams of a table apart."""
    return f"{stream_arn.rsplit('/', 1)[-1]}/{shard_id}"


def shard_id(partition: Partition) -> str:
    """The inverse of `partition_id`."""
    return partition.id.rsplit("/", 1)[-1]
