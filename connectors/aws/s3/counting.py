"""How large a bucket is: S3 does not say, so all of it is listed once."""

from collections.abc import Sequence
from contextlib import aclosing

import anyio

from connectors.aws.parallel import in_parallel
from connectors.aws.s3.bucket import Bucket
from connectors.aws.s3.ranges import KeyRange
from replicator.clocks import elapsed_s
from replicator.model import Size

TURN_S = 5.0
"""Who asks for the size waits no longer than about this; the next to ask has the counting go on."""

PARALLEL = 8


class Count:
    """Counts a bucket a little further each time it is asked; nothing is known before all was listed, once."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._places: dict[KeyRange, str] = {}
        self._begun = False
        self._records = 0
        self._bytes = 0

    @property
    def begun(self) -> bool:
        """Whether the ranges are known."""
        return self._begun

    def begin(self, ranges: Sequence[KeyRange]) -> None:
        """Counts these, which together hold every key once."""
        self._begun = True
        self._places = {keys: keys.after for keys in ranges}

    async def size(self) -> Size:
        """Unknown until all is counted."""
        end = elapsed_s() + TURN_S
        limiter = anyio.CapacityLimiter(PARALLEL)
        await in_parallel(lambda keys: self._count(keys, end), list(self._places), limiter)
        return Size() if self._places or not self._begun else Size(self._records, self._bytes)

    async def _count(self, keys: KeyRange, end: float) -> None:
        if elapsed_s() >= end:
            return
        async with aclosing(self._bucket.pages(self._places[keys])) as pages:
            async for page in pages:
                inside = [entry for entry in page.entries if entry["Key"] in keys]
                self._records += len(inside)
                self._bytes += sum(entry["Size"] for entry in inside)
                if inside:
                    self._places[keys] = inside[-1]["Key"]
                if len(inside) < len(page.entries):
                    break
                if elapsed_s() >= end and page.truncated:
                    return
        del self._places[keys]
