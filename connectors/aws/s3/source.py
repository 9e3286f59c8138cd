"""An S3 bucket as a source: its objects by listing, its changes by event notifications."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta

import anyio

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import Caller
from connectors.aws.clients import open_client
from connectors.aws.errors import AwsRefusal
from connectors.aws.metrics import MetricsUnknownError, metrics_caller
from connectors.aws.s3.bucket import MOST_KEYS, Bucket, Page, read_page
from connectors.aws.s3.check import BucketCheck
from connectors.aws.s3.check_queue import check_queue, without_queue
from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.counting import Count
from connectors.aws.s3.errors import translate_s3
from connectors.aws.s3.estimating import ENOUGH_TURNS, bucket_figures, change_rate
from connectors.aws.s3.following import Following, open_following
from connectors.aws.s3.hashing import content_digest
from connectors.aws.s3.listing import RangeListing
from connectors.aws.s3.lookup import Lookups
from connectors.aws.s3.missing import missing_keys
from connectors.aws.s3.objects import is_object_key
from connectors.aws.s3.planning import planned_of_bucket
from connectors.aws.s3.ranges import KeyRange
from connectors.aws.s3.sdk import CLIENT_SETTINGS, BucketClient
from replicator.clocks import ServiceClock
from replicator.errors import ConfigurationError, PositionLostError
from replicator.estimate.figures import CHANGES_UNKNOWN, SourceFigures
from replicator.model import Barriers, Batch, Change, Depth, Finding, Mode, Partition, Resume, Size
from replicator.objects import StoredObject
from replicator.planning.model import Intended
from replicator.registry import SourceContext
from replicator.wording import counted

COUNTING_S = 60.0
"""Who asks for the size waits no longer, whatever does not answer."""

DIRECTORY_SUFFIX = "--x-s3"
"""What the name of every directory bucket ends with."""


class S3Source:
    """See `replicator.ports.Source`. Usable once connected."""

    def __init__(
        self, config: S3SourceConfig, context: SourceContext, client: BucketClient, following: Following | None = None
    ) -> None:
        self._config = config
        self._context = context
        self._client = client
        self._following = following
        budget = YieldingBudget(config.max_requests_per_s)
        self._caller = Caller(context.where, context.telemetry, budget, translate_s3)
        self._bucket = Bucket(self._caller, client, config.bucket, config.key_prefix)
        self._lookups = Lookups(self._bucket, tags=config.tags)
        self._listing = RangeListing(self._bucket, config.partitions)
        self._count = Count(self._bucket)

    @property
    def clock(self) -> ServiceClock:
        return self._caller.clock

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self._bucket.client.meta.endpoint_url,)

    @property
    def key_names(self) -> tuple[str, ...]:
        return ()

    @property
    def ordered_groups(self) -> bool:
        return False

    @property
    def settling(self) -> timedelta:
        """Without notifications only a comparison of all listings proves anything."""
        if self._following is not None:
            return self._following.settling
        return self.relist_interval or timedelta.max

    @property
    def barriers(self) -> Barriers:
        """Of an event nobody knows how late it comes."""
        return Barriers.KEYS

    def is_key(self, text: str) -> bool:
        return text.startswith(self._config.key_prefix) and is_object_key(text)

    @property
    def retention(self) -> timedelta | None:
        return self._following.queue.retention if self._following else None

    async def connect(self) -> None:
        where = self._context.where
        self._require_a_way_to_follow()
        if self._config.bucket.endswith(DIRECTORY_SUFFIX):
            raise ConfigurationError(
                f"{where}.bucket",
                f"{self._config.bucket} is a directory bucket, whose listings have no order",
                "Copy it into a general purpose bucket first",
            )
        await self._probed_page(MOST_KEYS)
        if not self.clock.known:
            raise ConfigurationError(
                where, "answers carry no Date header, so lag cannot be told", "Let the proxy pass that header on"
            )
        if self._following is not None:
            await self._following.begin()

    async def size(self) -> Size:
        """Takes some seconds at most; unknown until all is counted."""
        with anyio.move_on_after(COUNTING_S), suppress(PositionLostError):  # whoever lists or follows reports it
            if not self._count.begun:
                self._count.begin([KeyRange.of(partition) for partition in await self.copy_partitions()])
            return await self._count.size()
        return Size()

    async def copy_partitions(self) -> tuple[Partition, ...]:
        return await self._listing.partitions()

    async def follow_partitions(self) -> tuple[Partition, ...]:
        """Without notifications there are none: nothing is claimed but what a listing of everything proves."""
        return self._following.partitions() if self._following else ()

    def read(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[StoredObject], None]:
        if partition.bounded:
            return self._listing.read(partition, resume)
        if self._following is None:
            raise PositionLostError(
                "notifications were followed before, and the config no longer names their queue. Name it again, or "
                "run once with --adopt"
            )
        return self._following.notifications.read(partition, resume)

    def can_move(self, partition: Partition) -> bool:
        """A range of keys is listed by itself; receivers prove time together."""
        return partition.bounded

    async def settle(self, batch: Batch[StoredObject], rejected: Collection[str]) -> None:
        if self._following is not None:
            await self._following.notifications.settle(batch)

    async def redeliver(self, keys: Collection[str]) -> bool:
        return False

    async def lookup(self, keys: Sequence[str]) -> dict[str, Change[StoredObject]]:
        return await self._lookups.of(keys)

    async def missing(self, keys: Sequence[str], since: datetime | None = None) -> set[str]:
        return await missing_keys(self._bucket, self._lookups, keys, since)

    async def content_digest(self, change: Change[StoredObject]) -> str | None:
        return await content_digest(change.record, self._caller.paid_failed)

    @property
    def budget(self) -> YieldingBudget:
        return self._caller.budget

    @property
    def stale_rows(self) -> bool:
        """What is listed is only looked at again, so it is never older than what was followed."""
        return False

    @property
    def relist_interval(self) -> timedelta | None:
        seconds = self._config.relist_interval_s
        return None if seconds is None else timedelta(seconds=seconds)

    async def take(self, taking: bool | None) -> None:
        """Notifications are taken in any case: they are nobody else's."""

    async def unfinished(self) -> list[str]:
        options = {"Bucket": self._config.bucket, "Prefix": self._config.key_prefix}
        try:
            told = await self._caller.counted(self._client.list_multipart_uploads, **options)
        except (AwsRefusal, ConfigurationError) as error:
            return [f"it cannot be known whether uploads in parts are open: {error}"]
        uploads, more = len(told.get("Uploads", ())), "more than " if told.get("IsTruncated") else ""
        return [f"{more}{counted(uploads, 'upload')} in parts not completed yet: complete or abort it"] * bool(uploads)

    async def depth(self) -> Depth | None:
        return await self._following.notifications.depth() if self._following else None

    async def sample(self, count: int) -> list[Change[StoredObject]]:
        page = await self._probed_page(count)
        found = await self._lookups.of([entry["Key"] for entry in page.entries])
        return list(found.values())

    async def planned(self) -> list[Intended]:
        """See `replicator.planning.model.PlannedSource`."""
        follows = self._context.mode is not Mode.COPY
        return await planned_of_bucket(self._caller, self._client, self._config, self._following, follows=follows)

    async def figures(self, sample: Sequence[Change[StoredObject]]) -> SourceFigures:
        """See `replicator.estimate.figures.SurveyedSource`. All of it is listed, unless that takes a minute."""
        size = Size()
        for _ in range(ENOUGH_TURNS):
            size = await self.size()
            if size.records is not None:
                break
        follows = self._context.mode is not Mode.COPY
        found = bucket_figures(self._config, size, sample, await self.depth(), follows=follows)
        if size.records is None:
            found = replace(found, notes=("it has more objects than could be counted in a minute",))
        if not follows:
            return found
        try:
            where = self._context.where
            caller = metrics_caller(where, self._context.telemetry)
            changes = await change_rate(caller, self._config, where, self.clock.latest(), self._following)
        except MetricsUnknownError as error:
            return replace(found, notes=(*found.notes, f"{CHANGES_UNKNOWN}: {error}"))
        return replace(found, changes=changes)

    async def check(self) -> list[Finding]:
        config, where = self._config, self._context.where
        caller, client = self._caller, self._client
        found = await BucketCheck(caller, client, config, where, await self._probed_page(MOST_KEYS)).findings()
        if self._following is not None:
            return [*found, *await check_queue(caller, client, config, self._following)]
        return found if self._context.mode is Mode.COPY else [*found, without_queue(config, where)]

    async def _probed_page(self, most: int) -> Page:
        """The first page. Raises ConfigurationError where it cannot be had, or is in no order."""
        where = f"{self._context.where}.bucket"
        options = {"Bucket": self._config.bucket, "Prefix": self._config.key_prefix, "MaxKeys": most}
        try:
            return read_page(await self._caller.probe(self._bucket.client.list_objects_v2, **options), "")
        except AwsRefusal as refusal:
            raise _not_usable(refusal, self._config.bucket, where) from refusal
        except PositionLostError as error:
            raise ConfigurationError(where, str(error), "Use a general purpose bucket of S3") from error

    def _require_a_way_to_follow(self) -> None:
        if self._context.mode is Mode.COPY or self._config.notifications or self._config.relist_interval_s:
            return
        raise ConfigurationError(
            f"{self._context.where}.notifications",
            "without it and without relist_interval_s changes would never be noticed",
            "Name the queue of the bucket's event notifications, or set relist_interval_s",
        )


def _not_usable(refusal: AwsRefusal, bucket: str, where: str) -> ConfigurationError:
    if refusal.code == "NoSuchBucket":
        return ConfigurationError(where, f"there is no bucket {bucket}", "Check its name and the account")
    return ConfigurationError(where, str(refusal), "Check the name, the region and the endpoint")


@asynccontextmanager
async def open_source(config: S3SourceConfig, context: SourceContext) -> AsyncIterator[S3Source]:
    """A source with clients of its own, closed on leaving, which gives back what was received and not settled.

    Where notifications are followed, enter and leave it in the same task.
    """
    settings = {**CLIENT_SETTINGS, "s3": {"addressing_style": config.addressing}}
    async with (
        open_client("s3", config, context.where, settings=settings) as client,
        open_following(config, context) as following,
    ):
        yield S3Source(config, context, client, following)
