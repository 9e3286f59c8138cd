"""The copy of a bucket: ranges of keys listed in parallel, resumable by the last key."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio

from connectors.aws.s3.bucket import Bucket
from connectors.aws.s3.division import Division, Marks
from connectors.aws.s3.objects import listed_change
from connectors.aws.s3.ranges import KeyRange, spread
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
        self._division: Division | None = None
        self._dividing = anyio.Lock()

    async def partitions(self) -> tuple[Partition, ...]:
        """Ranges that hold every key there may ever be, once; of about the same size as far as is known.

        Only the first to ask waits for a short look over the bucket. Later ranges are those of before, evened as soon
        as all of them have been listed.
        """
        async with self._dividing:
            before = self._division
            self._division = (before.evened(self._ranges) or before) if before else await self._looked_over()
            return tuple(keys.partition() for keys in self._division.ranges)

    async def _looked_over(self) -> Division:
        places = await Survey(self._bucket).places(self._ranges * PLACES_PER_RANGE)
        return Division(spread(places, self._ranges))

    async def read(self, partition: Partition, resume: Resume) -> AsyncGenerator[Batch[StoredObject], None]:
        """One batch a page; the position is its last key."""
        wanted, marks = KeyRange.of(partition), Marks()
        until = min((end for end in (wanted.until, resume.until) if end is not None), default=None)
        async with aclosing(self._bucket.pages(max(wanted.after, resume.position or ""))) as pages:
            async for page in pages:
                inside = [entry for entry in page.entries if until is None or entry["Key"] <= until]
                last = inside[-1]["Key"] if inside else None
                yield Batch(
                    changes=tuple(listed_change(entry) for entry in inside),
                    position=last,
                    read=len(inside),
                    bytes=sum(entry["Size"] for entry in inside),
                )
                if last is not None:
                    marks.add(last, len(inside))
                if len(inside) < len(page.entries) or (until is not None and last == until):
                    break
        if self._division and resume.position is None and until == wanted.until:
            self._division.listed(wanted, marks)
