"""Who else receives from a queue, as far as Lambda tells, and how old its oldest message is, as CloudWatch does.

Both are other services: a private endpoint of SQS does not serve them, a local cloud serves everything.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from connectors.aws.calls import Caller
from connectors.aws.clients import open_client
from connectors.aws.config import AwsSourceConfig
from connectors.aws.errors import AwsRefusal
from connectors.aws.sqs.config import SqsSourceConfig
from connectors.aws.sqs.queue import Queue
from connectors.aws.sqs.sdk import FunctionsClient, MetricsClient
from replicator.clocks import ServiceClock, elapsed_s
from replicator.errors import ConfigurationError, TransientError

WORKING = frozenset({"Enabled", "Enabling", "Creating", "Updating", "Disabling"})
"""States in which a mapping receives, may do so in a moment, or still does."""

METRIC_INTERVAL_S = 60.0
"""CloudWatch is told of a queue once a minute."""

METRIC_PERIOD = timedelta(minutes=1)
METRIC_WINDOW = timedelta(minutes=10)
METRIC_TIMEOUT_S = 5.0


def elsewhere(config: AwsSourceConfig) -> AwsSourceConfig:
    """For another service of the same cloud."""
    host = urlsplit(config.endpoint or "").hostname or ""
    return config.model_copy(update={"endpoint": None}) if "sqs" in host else config


async def working_mappings(caller: Caller, config: AwsSourceConfig, queue: Queue, where: str) -> list[str]:
    """The functions that the queue triggers. Raises ConfigurationError, AwsRefusal where that cannot be known."""
    async with open_client("lambda", elsewhere(config), where) as opened:
        client: FunctionsClient = opened
        found: list[str] = []
        page: Mapping[str, Any] = {}
        more: dict[str, str] = {}
        while not page or more:
            page = await caller.probe(client.list_event_source_mappings, EventSourceArn=queue.arn, **more)
            found += [_function(m) for m in page["EventSourceMappings"] if m.get("State") in WORKING]
            more = {"Marker": page["NextMarker"]} if page.get("NextMarker") else {}
        return found


def _function(mapping: Mapping[str, Any]) -> str:
    """A function's name, without version or alias."""
    parts = str(mapping.get("FunctionArn", "")).split(":")
    return parts[6] if len(parts) > 6 else parts[-1]


async def require_alone(caller: Caller, config: SqsSourceConfig, queue: Queue, where: str) -> None:
    """Raises ConfigurationError while a function is triggered by the queue, or when that cannot be known: each message
    would go to one of both.
    """
    try:
        functions = await working_mappings(caller, config, queue, where)
    except (ConfigurationError, AwsRefusal) as error:
        raise ConfigurationError(
            f"{where}.consume",
            f"it cannot be known whether functions are triggered by queue {queue.name} ({error})",
            "Permit lambda:ListEventSourceMappings",
        ) from error
    if functions:
        raise ConfigurationError(
            f"{where}.consume",
            f"queue {queue.name} triggers {', '.join(sorted(functions))}, and each message would go to one of both",
            "Disable the event source mapping and wait until it is Disabled, or use consume: hold",
        )


class OldestAge:
    """The age of a queue's oldest message as CloudWatch has it, a minute or more late; asked for once a minute."""

    def __init__(self, caller: Caller, client: MetricsClient, queue_name: str, clock: ServiceClock) -> None:
        self._caller = caller
        self._clock = clock
        self._client = client
        self._name = queue_name
        self._asked_at = float("-inf")
        self._age_s: float | None = None

    async def read(self) -> float | None:
        """In seconds; None where it is not known or may not be."""
        now = elapsed_s()
        if now - self._asked_at >= METRIC_INTERVAL_S:
            self._asked_at = now
            try:
                self._age_s = await self._ask()
            except (TransientError, AwsRefusal):  # it is told where it can be, and nothing depends on it
                self._age_s = None
        return self._age_s

    async def _ask(self) -> float | None:
        end = self._clock.latest()
        parameters = {
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateAgeOfOldestMessage",
            "Dimensions": [{"Name": "QueueName", "Value": self._name}],
            "StartTime": end - METRIC_WINDOW,
            "EndTime": end,
            "Period": int(METRIC_PERIOD.total_seconds()),
            "Statistics": ["Maximum"],
        }
        answer = await self._caller.once(self._client.get_metric_statistics, parameters, METRIC_TIMEOUT_S)
        latest = max(answer["Datapoints"], key=lambda point: point["Timestamp"], default=None)
        return None if latest is None else float(latest["Maximum"])
