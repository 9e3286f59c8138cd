"""Which of many keys have no object, by listing where they lie close together and one by one where they do not."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors.aws.s3.bucket import Bucket
from connectors.aws.s3.lookup import Lookups
from connectors.aws.s3.ranges import just_before

FEW = 20
"""A page that answers for fewer keys, although the next one was to be in it, is not worth its price."""

SINGLE = 50
"""So many keys are then asked for one by one before another page is tried."""

SKEW = timedelta(seconds=3)
"""Times of objects are told in whole seconds, by servers whose clocks differ a little."""

LONGEST_UPLOAD = timedelta(days=1)
"""An object that was uploaded in parts bears the time at which that was begun: it may be there since so much later."""

PARTS = re.compile(r"-\d+\"?$")
"""How the ETag of such an object ends."""


async def missing_keys(
    bucket: Bucket, lookups: Lookups, keys: Sequence[str], since: datetime | None = None
) -> set[str]:
    """With `since`, those as well whose object may not have been there then.

    Raises PositionLostError when the bucket is gone, in which nothing would be there.
    """
    missing = {key for key in keys if not key.startswith(bucket.prefix)}
    wanted = sorted(set(keys) - missing)
    place = 0
    while place < len(wanted):
        shown, answered = await _page(bucket, wanted[place:])
        missing.update(set(wanted[place : place + answered]) - _there(shown, since))
        place += answered
        if answered < FEW and place < len(wanted):
            few = wanted[place : place + SINGLE]
            missing.update(set(few) - _there(await lookups.shown(few), since))
            await lookups.confirm_bucket()
            place += len(few)
    return missing


def _there(shown: Mapping[str, Mapping[str, Any]], since: datetime | None) -> set[str]:
    """Those of these objects that are there and, with `since`, surely were then."""
    return {key for key, entry in shown.items() if since is None or _made_by(entry) < since - SKEW}


def _made_by(entry: Mapping[str, Any]) -> datetime:
    """When the object was there, at the latest."""
    modified: datetime = entry["LastModified"]
    return modified + LONGEST_UPLOAD if PARTS.search(entry["ETag"]) else modified


async def _page(bucket: Bucket, keys: Sequence[str]) -> tuple[dict[str, Mapping[str, Any]], int]:
    """What one page, which begins with the first of these sorted keys, shows, and for how many of them it answers."""
    page = await bucket.page(just_before(keys[0]))
    found = {entry["Key"]: entry for entry in page.entries}
    if not page.truncated:
        return found, len(keys)
    last = page.entries[-1]["Key"] if page.entries else ""
    return found, sum(key <= last for key in keys)
