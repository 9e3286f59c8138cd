"""Short forms of what tests ask the local AWS."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

ODD_KEYS = ("a b+c/ü%20?#&=.txt", "line\nbreak", "emoji😀", "a/../b", "a\\b", "\x01")


async def refused(call: Any) -> tuple[int, str]:
    """Status and code with which a call is refused."""
    with pytest.raises(ClientError) as error:
        await call
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


async def queue(sqs: Any, **attributes: Any) -> tuple[str, str]:
    """URL and ARN of a new one, a FIFO queue where the attributes say so."""
    suffix = ".fifo" if "FifoQueue" in attributes else ""
    created = await sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex}{suffix}", Attributes=attributes)
    url: str = created["QueueUrl"]
    named = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, named["Attributes"]["QueueArn"]
