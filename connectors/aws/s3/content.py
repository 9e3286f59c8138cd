"""The bytes of an object, read in ranges on the condition that it still is the version that was looked up."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
from botocore import exceptions

from connectors.aws.calls import Response
from connectors.aws.errors import CONNECTION_ERRORS, CREDENTIAL_ERRORS, AwsRefusal
from connectors.aws.s3.bucket import Bucket
from connectors.aws.s3.errors import ABSENT, translate_s3
from connectors.aws.s3.objects import in_seconds, unquoted
from replicator.errors import AccessError, TransientError
from replicator.objects import ContentChangedError, ContentRefusedError

PIECE_BYTES = 256 * 1024

CHANGED = ABSENT | {"PreconditionFailed", "InvalidRange", "NoSuchBucket", "MethodNotAllowed"}
"""Refusals that say that the object is no longer what it was."""

LONGEST_URL_S = 7 * 24 * 3600.0
"""What a signature may be valid for; one made with temporary credentials ends with them."""

SIGN = "generate_presigned_url"

UNSIGNED = (exceptions.ClientError, *CREDENTIAL_ERRORS, *CONNECTION_ERRORS)
"""Nothing is sent to sign a URL, but credentials may have to be renewed for it."""

BROKEN = (aiohttp.ClientError, exceptions.BotoCoreError, *CONNECTION_ERRORS)


@dataclass(frozen=True, slots=True)
class S3Content:
    """See `replicator.objects.Content`. Reads by key and ETag, not by version id: that needs no further permission, and
    bytes of a version that was replaced are not worth moving.

    The time of the last change is compared as well, in whole seconds: an object that was another one in between has its
    ETag again, and what was fetched by `url` meanwhile may be of the other one.
    """

    bucket: Bucket
    key: str
    etag: str
    modified_at: datetime
    source_version: str

    async def read(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        if length <= 0:
            return
        answer = await self._opened(start, length)
        body = answer["Body"]
        try:
            self._check(answer, start, length)
            missing = length
            while missing:
                piece = await _piece(body, min(missing, PIECE_BYTES))
                missing -= len(piece)
                yield piece
        finally:
            body.close()

    async def url(self, lifetime_s: float) -> str | None:
        """Names the version where the bucket keeps versions, which needs s3:GetObjectVersion; elsewhere the key alone,
        so that whoever uses it must `read` a byte afterwards, which tells whether it was this version all the while.
        """
        named = {"Bucket": self.bucket.name, "Key": self.key}
        if self.source_version:
            named["VersionId"] = self.source_version
        seconds = max(1, int(min(lifetime_s, LONGEST_URL_S)))
        try:
            url: str = await self.bucket.client.generate_presigned_url("get_object", named, ExpiresIn=seconds)
        except UNSIGNED as error:
            translated = translate_s3(SIGN, error)
            raise translated if isinstance(translated, TransientError) else AccessError(str(translated)) from error
        return url

    async def _opened(self, start: int, length: int) -> Response:
        """Not repeated when it fails: whoever reads does that."""
        try:
            return await self.bucket.caller.counted_once(
                self.bucket.client.get_object,
                Bucket=self.bucket.name,
                Key=self.key,
                Range=f"bytes={start}-{start + length - 1}",
                IfMatch=f'"{self.etag}"',
            )
        except AwsRefusal as refusal:
            if refusal.code in CHANGED:
                raise ContentChangedError(f"{refusal.operation}: {refusal.code}") from refusal
            raise ContentRefusedError(refused_reason(refusal)) from refusal

    def _check(self, answer: Response, start: int, length: int) -> None:
        """Something on the way may ignore the condition or the range."""
        if (unquoted(answer["ETag"]), in_seconds(answer["LastModified"])) != (self.etag, in_seconds(self.modified_at)):
            raise ContentChangedError("get_object: another version was sent")
        told = str(answer.get("ContentRange") or "").partition("/")[0]
        if told != f"bytes {start}-{start + length - 1}" or answer.get("ContentLength") != length:
            raise TransientError("get_object: another range was sent")


async def _piece(body: Any, most: int) -> bytes:
    try:
        piece: bytes = await body.read(most)
    except BROKEN as error:
        translated = translate_s3("get_object", error)
        transient = translated if isinstance(translated, TransientError) else _broken(error)
        raise transient from error
    if not piece:
        raise TransientError("get_object: the content ended early")
    return piece


def _broken(error: Exception) -> TransientError:
    return TransientError(f"get_object: the content broke off ({type(error).__name__})")


def refused_reason(refusal: AwsRefusal) -> str:
    """Why an object may not be read, for an operator."""
    match refusal.code:
        case "AccessDenied" | "AllAccessDisabled":
            hint = "permit s3:GetObject on it, and kms:Decrypt on its key"
        case "InvalidObjectState":
            hint = "it is archived: restore it, then retry"
        case code if code.startswith("KMS."):
            hint = "the key it is encrypted with cannot be used"
        case _:
            hint = "it may be encrypted with a key that only its owner has"
    return f"{refusal.code}: {refusal.message or 'no reason given'} ({hint})"


async def refused_in_words(bucket: Bucket, key: str, refusal: AwsRefusal) -> str:
    """Why a HEAD was refused, in the words of an answer to GET, which has some."""
    try:
        answer = await bucket.of_object(bucket.client.get_object, key, Range="bytes=0-0")
    except AwsRefusal as told:
        return refused_reason(refusal if told.code in {*ABSENT, "InvalidRange"} else told)
    answer["Body"].close()
    return refused_reason(refusal)
