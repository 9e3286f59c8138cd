"""What CloudWatch knows of the last day: how busy a table or a queue was. It is another service, and may be out of
reach or forbidden: then nothing is known.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import Caller, Operation, Response
from connectors.aws.clients import open_client
from connectors.aws.config import AwsSourceConfig
from connectors.aws.errors import AwsRefusal
from replicator.errors import ConfigurationError, TransientError
from replicator.telemetry import PipelineTelemetry

PERIOD = timedelta(minutes=5)
WINDOW = timedelta(days=1)
TIMEOUT_S = 10.0


class MetricsClient(Protocol):
    """The client of `cloudwatch`."""

    async def get_metric_statistics(self, **parameters: Any) -> Response:
        """Readings of a metric over a time."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Of one metric in the last day: the sum per second over all of it, and in the busiest five minutes. `average` is
    of single values, None where none was asked for.
    """

    mean_per_s: float
    peak_per_s: float
    average: float


class MetricsUnknownError(Exception):
    """There are no readings; the text says why."""


@asynccontextmanager
async def open_metrics(config: AwsSourceConfig, where: str, own: str) -> AsyncIterator[MetricsClient]:
    """A client of CloudWatch. A private endpoint of the service `own` serves that alone, a local cloud everything."""
    host = urlsplit(config.endpoint or "").hostname or ""
    elsewhere = config.model_copy(update={"endpoint": None}) if own in host else config
    async with open_client("cloudwatch", elsewhere, where) as client:
        yield client


def metrics_caller(where: str, telemetry: PipelineTelemetry) -> Caller:
    """One of its own: the clock of one service learns nothing from another's."""
    return Caller(where, telemetry, YieldingBudget(1.0))


async def last_day(
    caller: Caller, operation: Operation, end: datetime, namespace: str, metric: str, dimensions: Mapping[str, str]
) -> Readings:
    """Readings of the day that ends at `end`. Raises MetricsUnknownError: no reading at all is not a rate of zero."""
    parameters = {
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "StartTime": end - WINDOW,
        "EndTime": end,
        "Period": int(PERIOD.total_seconds()),
        "Statistics": ["Sum", "SampleCount"],
    }
    try:
        answer = await caller.once(operation, parameters, TIMEOUT_S)
    except (TransientError, AwsRefusal, ConfigurationError) as error:
        raise MetricsUnknownError(f"cloudwatch:GetMetricStatistics: {error}") from error
    points = answer["Datapoints"]
    if not points:
        raise MetricsUnknownError(f"CloudWatch has no readings of {metric} in the last day")
    sums = [float(point["Sum"]) for point in points]
    counts = sum(float(point.get("SampleCount", 0.0)) for point in points)
    return Readings(
        mean_per_s=sum(sums) / WINDOW.total_seconds(),
        peak_per_s=max(sums) / PERIOD.total_seconds(),
        average=sum(sums) / counts if counts else 0.0,
    )
