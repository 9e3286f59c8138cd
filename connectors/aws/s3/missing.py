"""Which of many keys have no object, by listing where they lie close together and one by one where they do not."""

from collections.abc import Sequence

from connectors.aws.s3.bucket import Bucket
from connectors.aws.s3.lookup import Lookups
from connectors.aws.s3.ranges import just_before

FEW = 20
"""A page that answers for fewer keys, although the next one was to be in it, is not worth its price."""

SINGLE = 50
"""So many keys are then asked for one by one before another page is tried."""


async def missing_keys(bucket: Bucket, lookups: Lookups, keys: Sequence[str]) -> set[str]:
    """Raises PositionLostError when the bucket is gone, in which nothing would be there."""
    missing = {key for key in keys if not key.startswith(bucket.prefix)}
    wanted = sorted(set(keys) - missing)
    place = 0
    while place < len(wanted):
        found, answered = await _page(bucket, wanted[place:])
        missing.update(set(wanted[place : place + answered]) - found)
        place += answered
        if answered < FEW and place < len(wanted):
            few = wanted[place : place + SINGLE]
            missing.update(set(few) - await lookups.exist(few))
            await lookups.confirm_bucket()
            place += len(few)
    return missing


async def _page(bucket: Bucket, keys: Sequence[str]) -> tuple[set[str], int]:
    """What one page, which begins with the first of these sorted keys, shows, and for how many of them it answers."""
    page = await bucket.page(just_before(keys[0]))
    found = {entry["Key"] for entry in page.entries}
    if not page.truncated:
        return found, len(keys)
    last = page.entries[-1]["Key"] if page.entries else ""
    return found, sum(key <= last for key in keys)
