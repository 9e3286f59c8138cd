"""How many messages an SQS queue holds; the local one counts at once and exactly."""

from typing import Any

COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


async def messages_in(sqs: Any, queue_url: str) -> int:
    """Those that can be received, are in flight or are delayed."""
    told = await sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=list(COUNTS))
    return sum(int(told["Attributes"][name]) for name in COUNTS)
