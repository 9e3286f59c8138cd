"""The bucket of the demo, and the container that it goes to."""

from typing import Any

from replicator.cli.demo.counting import messages_in
from replicator.cli.demo.objects import compare_objects
from replicator.cli.demo.workload import Compared, Load, compared_records
from replicator.cli.sandbox import LocalClouds
from replicator.config.models import MigrationConfig
from replicator.wording import counted
from sandbox.workload import ObjectWriter, TaggingEvents, create_bucket, read_bucket, read_container, seed_bucket

EVENTS = "documents-events"

CONFIG = """\
  documents:
    source:
      type: s3
      bucket: documents
      endpoint: {aws}
      notifications: documents-events
      wait_s: 1
      idle_margin_s: 1
      relist_interval_s: 5
    target:
      type: blob
      endpoint: {blob}
      key: ${{BLOB_KEY}}
      container: documents
      create: true
"""


class Bucket:
    """See `Workload`. Every object is read at both sides, its bytes included."""

    name = "documents"

    def __init__(self, clouds: LocalClouds, s3: Any, sqs: Any, events_url: str, load: Load) -> None:
        self.config = CONFIG.format(aws=clouds.aws.endpoint, blob=clouds.blob_endpoint)
        self._s3 = s3
        self._sqs = sqs
        self._events_url = events_url
        self._load = load
        self._blobs = clouds.blob_connection_string
        tagging = TaggingEvents(sqs, events_url, self.name)
        self._writer = ObjectWriter(s3, self.name, space="live", rate_per_s=load.slow_rate_per_s, tagging=tagging)

    @property
    def writes(self) -> int:
        return self._writer.counts.operations

    async def fill(self) -> str:
        held = await seed_bucket(self._s3, self.name, self._load.objects, large_bytes=self._load.large_bytes)
        size = sum(found.size for found in held.values())
        return f"{counted(len(held), 'object')} of {size / 1e6:,.1f} MB together"

    async def write(self, for_s: float) -> None:
        await self._writer.run(for_s=for_s)

    async def confirm(self) -> None:
        await self._writer.confirm()

    async def waiting(self) -> int:
        return await messages_in(self._sqs, self._events_url)

    async def compare(self, migration: MigrationConfig) -> Compared:
        source = {key: held async for key, held in read_bucket(self._s3, self.name)}
        target = {key: held async for key, held in read_container(self._blobs, self.name)}
        return compared_records(compare_objects(source, target), "object")


async def open_bucket(clouds: LocalClouds, s3: Any, sqs: Any, load: Load) -> Bucket:
    """A new bucket, whose changes a new queue is told of."""
    return Bucket(clouds, s3, sqs, await create_bucket(s3, sqs, Bucket.name, events_queue=EVENTS), load)
