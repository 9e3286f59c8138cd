"""What the extended clients of SQS send instead of a large body: where in S3 it lies. Pure.

Known to both clouds: one side may read the payload, the other one may rewrite the pointer.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

POINTER_CLASSES: Final = frozenset(
    {"software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer"}
)
"""What the first member of a pointer's body names, by the version of the extended client."""

SIZE_ATTRIBUTES: Final = ("ExtendedPayloadSize", "SQSLargePayloadSize")
"""The attribute that makes a message one of an extended client, and holds the payload's size in bytes."""

BUCKET_NAME: Final = re.compile(r"[A-Za-z0-9._-]{3,255}")
"""As the oldest buckets may be called, too."""

MOST_KEY_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class S3Pointer:
    """Where an extended client has put the payload of a message."""

    bucket: str
    key: str
    class_name: str

    @property
    def body(self) -> str:
        """As the client sends it."""
        fields = {"s3BucketName": self.bucket, "s3Key": self.key}
        return json.dumps([self.class_name, fields], separators=(",", ":"), ensure_ascii=False)


def s3_pointer(body: str | bytes, attributes: Collection[str]) -> S3Pointer | None:
    """What a message of an extended client points to; None for any other message, and for what no object is called."""
    if not any(name in attributes for name in SIZE_ATTRIBUTES):
        return None
    try:
        told: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    match told:
        case [str(class_name), {"s3BucketName": str(bucket), "s3Key": str(key)}] if class_name in POINTER_CLASSES:
            return S3Pointer(bucket, key, class_name) if BUCKET_NAME.fullmatch(bucket) and _may_be_key(key) else None
    return None


def _may_be_key(text: str) -> bool:
    """Whether an object may be called that."""
    try:
        return 0 < len(text.encode()) <= MOST_KEY_BYTES
    except UnicodeEncodeError:
        return False
