"""Where the keys of a bucket are, found in few requests so that it can be divided."""

from collections import deque

from connectors.aws.s3.bucket import Bucket
from connectors.aws.s3.ranges import filled_up

MOST_LOOKS = 200
"""Places are looked at so often, about ten seconds; a bucket of any size is divided within that."""

MOST_CHARACTERS = 100


class Survey:
    """One look over a bucket. What it misses makes ranges uneven, no more."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._looks = 0

    async def places(self, enough: int) -> list[str]:
        """Beginnings of keys, breadth first: each that is divided no further has at most a page of objects."""
        pending, small = deque([self._bucket.prefix]), list[str]()
        while pending and len(pending) + len(small) < enough and self._looks < MOST_LOOKS:
            place = pending.popleft()
            parts = await self._parts(place)
            pending.extend(parts)
            if not parts:
                small.append(place)
        return [*pending, *small]

    async def _parts(self, place: str) -> list[str]:
        """What divides the keys that begin so: folders, or where one page does not show all, the next characters."""
        self._looks += 1
        page = await self._bucket.page("", prefix=place, delimiter="/")
        return await self._characters(place) if page.truncated else list(page.folders)

    async def _characters(self, place: str) -> list[str]:
        """Each found by skipping all keys that begin with the one before it."""
        found: list[str] = []
        after = place
        while len(found) < MOST_CHARACTERS and self._looks < MOST_LOOKS:
            self._looks += 1
            page = await self._bucket.page(after, prefix=place, most=1)
            part = page.entries[0]["Key"][: len(place) + 1] if page.entries else place
            if part in {place, *found[-1:]}:
                break
            found.append(part)
            after = filled_up(part)
        return found
