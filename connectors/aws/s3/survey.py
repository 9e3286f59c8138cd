"""Where the keys of a bucket are, found in few requests so that it can be divided."""

from collections import deque
from collections.abc import Sequence
from itertools import takewhile

import anyio

from connectors.aws.parallel import in_parallel
from connectors.aws.s3.bucket import MOST_KEYS, Bucket, Page
from connectors.aws.s3.ranges import filled_up

MOST_LOOKS = 200
"""Places are looked at so often, some seconds; a bucket of any size is divided within that."""

MOST_CHARACTERS = 100

PARALLEL = 8
"""Places looked at at once."""


class Survey:
    """One look over a bucket. What it misses makes ranges uneven, no more."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._looks = 0

    async def places(self, enough: int) -> list[str]:
        """Beginnings of keys, breadth first: each that is divided no further has at most a page of objects."""
        pending, small = deque([self._bucket.prefix]), list[str]()
        limiter = anyio.CapacityLimiter(PARALLEL)
        while pending and len(pending) + len(small) < enough and self._looks < MOST_LOOKS:
            at_once = min(PARALLEL, len(pending), MOST_LOOKS - self._looks)
            divided = await in_parallel(self._parts, [pending.popleft() for _ in range(at_once)], limiter)
            for place, parts in divided.items():
                pending.extend(parts)
                if not parts:
                    small.append(place)
        return [*pending, *small]

    async def _parts(self, place: str) -> list[str]:
        """What divides the keys that begin so: folders, or where one page does not show all, the next characters."""
        page = await self._look("", prefix=place, delimiter="/")
        if not page.truncated:
            return list(page.folders)
        shown = [*(entry["Key"] for entry in page.entries), *page.folders]
        return await self._characters(place, await self._beginning(place, shown))

    async def _beginning(self, place: str, shown: Sequence[str]) -> str:
        """What all keys that begin with `place` begin with, of which some are shown."""
        shared = _shared(min(shown), max(shown)) if shown else place
        while len(shared) > len(place) and self._looks < MOST_LOOKS:
            page = await self._look(filled_up(shared), prefix=place, most=1)
            if not page.entries:
                break
            shared = _shared(shared, page.entries[0]["Key"])
        return shared

    async def _characters(self, place: str, beginning: str) -> list[str]:
        """Each found by skipping all keys that begin with the one before it."""
        found: list[str] = []
        after = beginning
        while len(found) < MOST_CHARACTERS and self._looks < MOST_LOOKS:
            page = await self._look(after, prefix=place, most=1)
            part = page.entries[0]["Key"][: len(beginning) + 1] if page.entries else place
            if part in {place, *found[-1:]}:
                break
            found.append(part)
            after = filled_up(part)
        return found

    async def _look(self, after: str, *, prefix: str, most: int = MOST_KEYS, delimiter: str = "") -> Page:
        self._looks += 1
        return await self._bucket.page(after, prefix=prefix, most=most, delimiter=delimiter)


def _shared(one: str, other: str) -> str:
    """The beginning that both have."""
    return "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
