"""Single objects as they are now: strongly consistent reads, headers and metadata by HEAD, tags beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from connectors.aws.calls import Response
from connectors.aws.errors import AwsRefusal
from connectors.aws.parallel import in_parallel
from connectors.aws.s3.bucket import Bucket
from connectors.aws.s3.content import S3Content, refused_in_words
from connectors.aws.s3.errors import ABSENT, UNREADABLE_HEAD
from connectors.aws.s3.objects import absent, hindered, looked_up, present, unquoted
from replicator.model import Change, Operation
from replicator.objects import StoredObject

PARALLEL = 32

TAGS_HINT = "permit s3:GetObjectTagging on it, or set `tags: false`"


class Lookups:
    """Looks objects of one bucket up, so many at once for all who ask. With `tags` False none are read, and none are
    there.
    """

    def __init__(self, bucket: Bucket, *, tags: bool) -> None:
        self._bucket = bucket
        self._tags = tags
        self._limiter = anyio.CapacityLimiter(PARALLEL)

    async def of(self, keys: Sequence[str]) -> dict[str, Change[StoredObject]]:
        """The present of each key; an object that is there and cannot be read is there, with its obstacle.

        Raises PositionLostError when the bucket is gone: a HEAD does not tell that from an object that is gone.
        """
        found = await in_parallel(self._one, keys, self._limiter)
        if any(change.operation is Operation.DELETE for change in found.values()):
            await self.confirm_bucket()
        return found

    async def shown(self, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """What HEAD or a listing shows of those under which there is an object, as it seems; see `confirm_bucket`."""
        found = await in_parallel(self._shown, keys, self._limiter)
        return {key: entry for key, entry in found.items() if entry is not None}

    async def confirm_bucket(self) -> None:
        """Raises PositionLostError when the bucket is gone."""
        await self._bucket.page("", most=1)

    async def _one(self, key: str) -> Change[StoredObject]:
        if not key.startswith(self._bucket.prefix):
            return absent(key)
        while True:
            try:
                head = await self._bucket.of_object(self._bucket.client.head_object, key, ChecksumMode="ENABLED")
            except AwsRefusal as refusal:
                return await self._without_head(key, refusal)
            try:
                return present(self._whole(key, head, await self._tags_of(key)))
            except AwsRefusal as refusal:
                if refusal.code not in ABSENT:  # else it was deleted in between: look again
                    reason = f"{refusal.code}: {refusal.message or 'its tags may not be read'} ({TAGS_HINT})"
                    return await self._hindered(key, reason)

    def _whole(self, key: str, head: Response, tags: Mapping[str, str]) -> StoredObject:
        shown = looked_up(key, head, tags, None)
        content = S3Content(self._bucket, key, unquoted(head["ETag"]), head["LastModified"], shown.source_version)
        return looked_up(key, head, tags, content)

    async def _tags_of(self, key: str) -> dict[str, str]:
        if not self._tags:
            return {}
        answer = await self._bucket.of_object(self._bucket.client.get_object_tagging, key)
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    async def _shown(self, key: str) -> Mapping[str, Any] | None:
        if not key.startswith(self._bucket.prefix):
            return None
        try:
            return await self._bucket.of_object(self._bucket.client.head_object, key)
        except AwsRefusal as refusal:
            return None if refusal.code in ABSENT else await self._listed(key)

    async def _without_head(self, key: str, refusal: AwsRefusal) -> Change[StoredObject]:
        """What a refused HEAD means: only 404 is absence."""
        if refusal.code in ABSENT:
            return absent(key)
        if refusal.code == UNREADABLE_HEAD:
            return await self._hindered(key, refusal.message)
        return await self._hindered(key, await refused_in_words(self._bucket, key, refusal))

    async def _hindered(self, key: str, reason: str) -> Change[StoredObject]:
        """The listing says whether there is an object. Where that is refused too, it is not about the object, and is
        repeated until it is permitted.
        """
        entry = await self._listed(key)
        return absent(key) if entry is None else present(hindered(entry, reason))

    async def _listed(self, key: str) -> Mapping[str, Any] | None:
        page = await self._bucket.page("", prefix=key, most=1)
        return next((entry for entry in page.entries if entry["Key"] == key), None)
