"""The copy of a bucket: ranges of keys listed in parallel, resumable by the last key."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from connectors.aws.s3.bucket import Bucket
from connectors.aws.s3.objects import listed_change
from connectors.aws.s3.ranges import KeyRange, cut, spread
from connectors.aws.s3.survey import Survey
from replicator.model import Batch, Partition, Resume
from replicator.objects import StoredObject

PLACES_PER_RANGE = 4
"""So many places are looked for, so that their number tells a little of how much is where."""


class RangeListing:
    """Lists a bucket in ranges. What is found is only looked up where the target has another version of it."""

    def __init__(self, bucket: Bucket, ranges: int) -> None:
        self._bucket = bucket
        self._ranges = ranges

    async def partitions(self) -> tuple[Partition, ...]:
        """Ranges that hold every key there may ever be, once; of about the same size as far as a short look tells."""
        places = await Survey(self._bucket).places(self._ranges * PLACES_PER_RANGE)
        return tuple(keys.partition() for keys in cut(spread(places, self._ranges)))

    async def read(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[StoredObject], None]:
        """One batch a page; the position is its last key."""
        wanted = KeyRange.of(partition)
        until = min((end for end in (wanted.until, resume.until) if end is not None), default=None)
        async with aclosing(self._bucket.pages(max(wanted.after, resume.position or ""))) as pages:
            async for page in pages:
                inside = [entry for entry in page.entries if until is None or entry["Key"] <= until]
                yield Batch(
                    changes=tuple(listed_change(entry) for entry in inside),
                    position=inside[-1]["Key"] if inside else None,
                    read=len(inside),
                    bytes=sum(entry["Size"] for entry in inside),
                )
                if len(inside) < len(page.entries):
                    return
