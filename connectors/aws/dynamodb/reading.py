"""One shard, read in order: iterators that expire, pages that are empty, positions that are trimmed."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import anyio

from connectors.aws.calls import Caller
from connectors.aws.dynamodb.records import TableShape, committed_at, stream_change
from connectors.aws.dynamodb.sdk import StreamsClient
from connectors.aws.dynamodb.shard_time import ShardTime
from connectors.aws.dynamodb.shards import ShardListing, shard_id
from connectors.aws.errors import AwsRefusal
from replicator.clocks import elapsed_s
from replicator.documents import Document
from replicator.errors import PositionLostError
from replicator.model import Batch, Partition, Resume

RETENTION = timedelta(hours=24)

RETENTION_MARGIN = timedelta(minutes=5)
"""What is so near the end of its retention is taken to be gone."""

PAGE_RECORDS = 1000

DENIED_PAUSE_S = 1.0
"""Before a shard that is listed but denied is asked for again."""

DENIALS = 3
"""A shard that is not even listed is believed to be gone when it has been denied so often in a row."""

UNLISTED_PAUSE_S = 20.0
"""Between those denials: answers of replicas that lag behind are no longer wrong by then."""

TRIMMED = "its records up to the position were trimmed"

FEW_RECORDS = 100
"""After a page with fewer records the reader pauses: it has caught up, and five reads a second are the limit."""

Page = Sequence[Mapping[str, Any]]


class ShardReader:
    """Reads one shard from a position to its end."""

    def __init__(
        self,
        caller: Caller,
        client: StreamsClient,
        listing: ShardListing,
        partition: Partition,
        resume: Resume,
        shape: TableShape,
        *,
        margin: timedelta,
        poll_interval_s: float,
    ) -> None:
        self._caller = caller
        self._client = client
        self._listing = listing
        self._partition = partition
        self._resume = resume
        self._shape = shape
        self._poll_interval_s = poll_interval_s
        self._position = resume.position
        self._time = ShardTime(resume.replicated_through, margin)
        self._denials = 0

    async def batches(self) -> AsyncGenerator[Batch[Document], None]:
        """One batch a page, until the shard is closed and read to its end, or `resume.until` is reached."""
        iterator = await self._iterator()
        while iterator:
            sent = elapsed_s()
            page, iterator = await self._page(iterator)
            page, reached = self._until(page)
            yield self._batch(page, sent)
            if reached:
                return

    def _batch(self, page: Page, sent: float) -> Batch[Document]:
        late = 0
        if page:
            asked_at = self._caller.clock.earliest(sent)
            late = self._time.records([committed_at(record) for record in page], asked_at)
            self._position = page[-1]["dynamodb"]["SequenceNumber"]
        else:
            self._time.empty(self._caller.clock.earliest(sent))
        now = self._caller.clock.latest()
        return Batch(
            changes=tuple(stream_change(record, self._shape, now) for record in page if self._is_wanted(record)),
            position=self._position,
            replicated_through=self._time.claim,
            read=len(page),
            late=late,
            pause_s=self._poll_interval_s if len(page) < FEW_RECORDS else 0.0,
        )

    def _is_wanted(self, record: Mapping[str, Any]) -> bool:
        skip_before = self._resume.skip_before
        return skip_before is None or committed_at(record) >= skip_before

    def _until(self, page: Page) -> tuple[Page, bool]:
        """The part of a page up to the last position wanted, and whether that was in it."""
        if self._resume.until is None:
            return page, False
        last = int(self._resume.until)
        wanted = [record for record in page if _sequence(record) <= last]
        return wanted, len(wanted) < len(page) or bool(wanted and _sequence(wanted[-1]) == last)

    async def _page(self, iterator: str | None) -> tuple[Page, str | None]:
        """A page that was really read: a refusal proves nothing about time and is not handed out as an empty one."""
        while iterator:
            try:
                answer = await self._caller.call(self._client.get_records, ShardIterator=iterator, Limit=PAGE_RECORDS)
            except AwsRefusal as refusal:
                iterator = await self._recover(refusal)
            else:
                self._denials = 0
                return answer["Records"], answer.get("NextShardIterator")
        return [], None

    async def _recover(self, refusal: AwsRefusal) -> str | None:
        """An iterator that goes on where the refused one stood, None where the shard is over."""
        match refusal.code:
            case "ExpiredIteratorException":
                return await self._iterator()
            case "TrimmedDataAccessException":
                self._check_covered(TRIMMED)
                return await self._iterator(from_horizon=True)
            case "ResourceNotFoundException":
                return None if await self._is_gone() else await self._iterator()
        raise refusal

    async def _iterator(self, *, from_horizon: bool = False) -> str | None:
        """An iterator that goes on behind the position, None where the shard is over.

        From the oldest record kept if there is no position, or it was trimmed: that is exact as long as everything
        older than the retention has been replicated.
        """
        self._check_retention()
        while True:
            try:
                return await self._get_iterator(from_horizon=from_horizon or self._position is None)
            except AwsRefusal as refusal:
                if refusal.code == "TrimmedDataAccessException" and not from_horizon:
                    self._check_covered(TRIMMED)
                    from_horizon = True
                elif refusal.code != "ResourceNotFoundException":
                    raise
                elif await self._is_gone():
                    return None

    async def _is_gone(self) -> bool:
        """The service denies a shard: that is believed only when it says so several times, and no longer lists it.

        A shard that is really gone was closed longer ago than the retention, so it is over if all from before that is
        at the target. Of one that is not, all that it still gets would be lost. Otherwise pauses before it is asked for
        again.
        """
        listed = await self._listing.may_list(shard_id(self._partition))
        self._denials = 0 if listed else self._denials + 1
        if self._denials == DENIALS:
            self._check_covered("the shard is gone")
            return True
        await anyio.sleep(DENIED_PAUSE_S if listed else UNLISTED_PAUSE_S)
        return False

    async def _get_iterator(self, *, from_horizon: bool) -> str:
        where = {"ShardIteratorType": "TRIM_HORIZON"}
        if not from_horizon:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": str(self._position)}
        answer = await self._caller.call(
            self._client.get_shard_iterator,
            StreamArn=self._partition.log,
            ShardId=shard_id(self._partition),
            **where,
        )
        return str(answer["ShardIterator"])

    def _covered_through(self) -> datetime | None:
        """Everything older is at the target: by what was replicated, or by the copy, whichever reaches further."""
        known = [moment for moment in (self._time.claim, self._resume.skip_before) if moment is not None]
        return max(known, default=None)

    def _check_retention(self) -> None:
        """Without a position the horizon is where reading begins; silently later than it should, after too long."""
        if self._position is None:
            self._check_covered("it was not read in time")

    def _check_covered(self, problem: str) -> None:
        covered = self._covered_through()
        horizon = self._caller.clock.latest() - RETENTION + RETENTION_MARGIN
        if covered is None or covered >= horizon:
            return
        raise PositionLostError(
            f"partition {self._partition.id}: {problem}: changes between {covered:%Y-%m-%d %H:%M:%S} UTC and "
            f"{horizon:%Y-%m-%d %H:%M:%S} UTC are gone from the stream. Run once with --adopt: "
            "every record is then compared with the table and repaired where it differs"
        )


def _sequence(record: Mapping[str, Any]) -> int:
    """Sequence numbers are decimal text of varying length, sometimes with leading zeros."""
    return int(record["dynamodb"]["SequenceNumber"])
