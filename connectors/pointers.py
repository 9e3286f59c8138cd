"""What the extended clients of SQS send instead of a large body: where in S3 it lies. Pure.

Known to both clouds: one side may read the payload, the other one may rewrite the pointer.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

POINTER_CLASSES: Final = frozenset(
    {"software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer"}
)
"""What the first member of a pointer's body names, by the version of the extended client."""

SIZE_ATTRIBUTES: Final = ("ExtendedPayloadSize", "SQSLargePayloadSize")
"""The attribute that makes a message one of an extended client, and holds the payload's size in bytes."""


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
        class_name, fields = told
        pointer = S3Pointer(str(fields["s3BucketName"]), str(fields["s3Key"]), str(class_name))
        pointer.body.encode()
    except (ValueError, TypeError, KeyError):
        return None
    return pointer if class_name in POINTER_CLASSES and pointer.key else None
