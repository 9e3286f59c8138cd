"""The calls a workload makes to AWS, and which of their failures are worth another try."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import aiohttp
import anyio
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

Attribute: TypeAlias = "dict[str, Any]"  # low-level form: {"S": "text"}, {"M": {…}}
Item: TypeAlias = "dict[str, Attribute]"
Key: TypeAlias = tuple[str, str]  # customer, order_id

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
RETRYABLE_CODES = frozenset(
    {
        "InternalError",
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
REFUSED_CODES = frozenset(
    {
        "ConditionalCheckFailedException",
        "ConditionalRequestConflict",
        "NoSuchKey",
        "PreconditionFailed",
        "TransactionCanceledException",
    }
)
"""What says that the state was not the one that the call depends on."""


class WorkloadError(Exception):
    """The endpoint failed for longer than a workload is willing to retry, or refused what it should accept."""


class DynamoDb(Protocol):
    """What a workload needs of an aiobotocore DynamoDB client."""

    async def batch_write_item(self, **parameters: object) -> Mapping[str, Any]: ...
    async def create_table(self, **parameters: object) -> Mapping[str, Any]: ...
    async def delete_item(self, **parameters: object) -> Mapping[str, Any]: ...
    async def describe_table(self, **parameters: object) -> Mapping[str, Any]: ...
    async def get_item(self, **parameters: object) -> Mapping[str, Any]: ...
    async def put_item(self, **parameters: object) -> Mapping[str, Any]: ...
    async def transact_write_items(self, **parameters: object) -> Mapping[str, Any]: ...
    async def update_item(self, **parameters: object) -> Mapping[str, Any]: ...
    async def update_time_to_live(self, **parameters: object) -> Mapping[str, Any]: ...


class S3(Protocol):
    """What a workload needs of an aiobotocore S3 client."""

    async def complete_multipart_upload(self, **parameters: object) -> Mapping[str, Any]: ...
    async def copy_object(self, **parameters: object) -> Mapping[str, Any]: ...
    async def create_bucket(self, **parameters: object) -> Mapping[str, Any]: ...
    async def create_multipart_upload(self, **parameters: object) -> Mapping[str, Any]: ...
    async def delete_object(self, **parameters: object) -> Mapping[str, Any]: ...
    async def delete_object_tagging(self, **parameters: object) -> Mapping[str, Any]: ...
    async def get_object(self, **parameters: object) -> Mapping[str, Any]: ...
    async def get_object_tagging(self, **parameters: object) -> Mapping[str, Any]: ...
    async def list_objects_v2(self, **parameters: object) -> Mapping[str, Any]: ...
    async def put_bucket_notification_configuration(self, **parameters: object) -> Mapping[str, Any]: ...
    async def put_object(self, **parameters: object) -> Mapping[str, Any]: ...
    async def put_object_tagging(self, **parameters: object) -> Mapping[str, Any]: ...
    async def upload_part(self, **parameters: object) -> Mapping[str, Any]: ...


class Sqs(Protocol):
    """What a workload needs of an aiobotocore SQS client."""

    async def create_queue(self, **parameters: object) -> Mapping[str, Any]: ...
    async def get_queue_attributes(self, **parameters: object) -> Mapping[str, Any]: ...
    async def send_message(self, **parameters: object) -> Mapping[str, Any]: ...
    async def send_message_batch(self, **parameters: object) -> Mapping[str, Any]: ...
    async def set_queue_attributes(self, **parameters: object) -> Mapping[str, Any]: ...


# What a call may raise for a reason that lies outside the workload.
CallFailure = (BotoCoreError, ClientError, aiohttp.ClientError, OSError)


def error_code(error: BaseException) -> str:
    """The service's code of an error response, "" for anything else."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def is_retryable(error: BaseException) -> bool:
    """Whether the same call may succeed later. It says nothing about whether this one took effect."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error_code(error) in RETRYABLE_CODES or status >= 500
    return isinstance(error, ConnectionError | HTTPClientError | aiohttp.ClientError | OSError)


class Backoff:
    """Pauses between the attempts of one operation: doubling, jittered, bounded by `retry_for_s` in all."""

    def __init__(self, chance: random.Random, retry_for_s: float) -> None:
        self._chance = chance
        self._deadline = time.monotonic() + retry_for_s
        self._pause_s = FIRST_PAUSE_S

    async def pause(self, operation: str, error: BaseException | None = None) -> None:
        """Wait before the next attempt. Raises WorkloadError once the time is used up."""
        if time.monotonic() >= self._deadline:
            raise WorkloadError(f"{operation} kept failing: {error!r}") from error
        await anyio.sleep(self._pause_s * self._chance.uniform(0.5, 1.0))
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
