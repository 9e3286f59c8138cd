"""What is used of botocore's client of `s3`, so that a fake need not have more.

botocore makes its methods from data files at run time. Parameters and answers are as S3 documents them.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from connectors.aws.calls import Response

CLIENT_SETTINGS: Final[Mapping[str, object]] = {
    "signature_version": "s3v4",
    "max_pool_connections": 200,
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}
"""Checksums of whole objects are compared by whoever writes them; those of ranges are not sent."""


class Meta(Protocol):
    """What a client knows of itself."""

    @property
    def endpoint_url(self) -> str:
        """Where its requests go."""


class ObjectClient(Protocol):
    """The part that reads objects."""

    @property
    def meta(self) -> Meta:
        """Of this client."""

    async def list_objects_v2(self, *_: Any, **parameters: Any) -> Response:
        """A page of keys, in the order of UTF-8 bytes."""

    async def head_object(self, *_: Any, **parameters: Any) -> Response:
        """What an object is, without its content."""

    async def get_object(self, *_: Any, **parameters: Any) -> Response:
        """A range of its content."""

    async def get_object_tagging(self, *_: Any, **parameters: Any) -> Response:
        """Its tags."""

    async def generate_presigned_url(self, operation: str, parameters: Mapping[str, str], **options: Any) -> str:
        """A URL that lets whoever has it do this."""


class BucketClient(ObjectClient, Protocol):
    """The part that looks at settings as well."""

    async def head_bucket(self, *_: Any, **parameters: Any) -> Response:
        """Whether it is there."""

    async def get_bucket_versioning(self, *_: Any, **parameters: Any) -> Response:
        """Whether several versions are kept."""

    async def get_object_lock_configuration(self, *_: Any, **parameters: Any) -> Response:
        """Whether objects can be locked."""

    async def get_bucket_replication(self, *_: Any, **parameters: Any) -> Response:
        """Whether S3 replicates it."""

    async def list_multipart_uploads(self, *_: Any, **parameters: Any) -> Response:
        """Uploads that are not completed yet."""

    async def get_bucket_notification_configuration(self, *_: Any, **parameters: Any) -> Response:
        """Which events are sent where."""
