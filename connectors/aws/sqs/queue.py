"""What must be known of a queue before anything is received from it, and how many messages it holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from connectors.aws.calls import Caller
from connectors.aws.errors import AwsRefusal, configuration_error
from connectors.aws.sqs.queue_time import Counts
from connectors.aws.sqs.sdk import WatchingClient
from replicator.errors import ConfigurationError

MISSING = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})

COUNTS = {
    "visible": "ApproximateNumberOfMessages",
    "in_flight": "ApproximateNumberOfMessagesNotVisible",
    "delayed": "ApproximateNumberOfMessagesDelayed",
}


@dataclass(frozen=True, slots=True)
class Redrive:
    """Where a message goes that was received too often."""

    arn: str
    most_receives: int


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as described. `ordered`: a FIFO queue. `key` is its encryption key where that is not the service's."""

    url: str
    arn: str
    ordered: bool
    retention: timedelta
    visibility_s: int
    delay_s: int
    redrive: Redrive | None = None
    key: str | None = None

    @property
    def name(self) -> str:
        return self.arn.rpartition(":")[2]


async def find_queue(caller: Caller, client: WatchingClient, name: str, where: str) -> Queue:
    """By its name, ARN or URL, where the client is connected to. Raises ConfigurationError when it cannot be used."""
    try:
        url = name if "://" in name else await _url(caller, client, name)
        answer = await caller.probe(client.get_queue_attributes, QueueUrl=url, AttributeNames=["All"])
    except AwsRefusal as refusal:
        if refusal.code in MISSING:
            raise ConfigurationError(
                where, f"there is no queue {name}", "Check its name, the region and the account"
            ) from refusal
        raise configuration_error(where, refusal) from refusal
    if not caller.clock.known:
        raise ConfigurationError(
            where, "answers carry no Date header, so lag cannot be told", "Let the proxy pass that header on"
        )
    return _queue(url, answer["Attributes"])


async def _url(caller: Caller, client: WatchingClient, name: str) -> str:
    """An ARN names the account too."""
    parts = name.split(":")
    owner = {"QueueOwnerAWSAccountId": parts[4]} if len(parts) == 6 else {}
    answer = await caller.probe(client.get_queue_url, QueueName=parts[-1], **owner)
    return str(answer["QueueUrl"])


def _queue(url: str, told: Mapping[str, str]) -> Queue:
    redrive = json.loads(told.get("RedrivePolicy") or "{}")
    return Queue(
        url=url,
        arn=told["QueueArn"],
        ordered=told.get("FifoQueue") == "true",
        retention=timedelta(seconds=int(told["MessageRetentionPeriod"])),
        visibility_s=int(told["VisibilityTimeout"]),
        delay_s=int(told.get("DelaySeconds", 0)),
        redrive=Redrive(redrive["deadLetterTargetArn"], int(redrive["maxReceiveCount"])) if redrive else None,
        key=told.get("KmsMasterKeyId") or None,
    )


async def read_counts(caller: Caller, client: WatchingClient, queue: Queue) -> Counts:
    """How many messages there are, repeated until the service says it. Raises AwsRefusal."""
    answer = await caller.call(client.get_queue_attributes, QueueUrl=queue.url, AttributeNames=list(COUNTS.values()))
    told = answer["Attributes"]
    return Counts(**{name: int(told[attribute]) for name, attribute in COUNTS.items()})
