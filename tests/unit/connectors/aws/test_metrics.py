"""Promise: readings become rates, and where there are none the rate is unknown, with the reason, never zero."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.aws.metrics import MetricsUnknownError, Readings, last_day, metrics_caller
from fakes.follower import telemetry
from fakes.streams import client_error

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Metrics:
    """A client of CloudWatch."""

    def __init__(self, *points: Mapping[str, Any]) -> None:
        self.points = points
        self.error: Exception | None = None
        self.asked: Mapping[str, Any] = {}

    async def get_metric_statistics(self, **parameters: Any) -> Mapping[str, Any]:
        self.asked = parameters
        if self.error:
            raise self.error
        return {"Datapoints": self.points, "ResponseMetadata": {"HTTPHeaders": {}}}


async def read(client: Metrics) -> Readings:
    caller = metrics_caller("source", telemetry())
    return await last_day(caller, client.get_metric_statistics, NOW, "AWS/SQS", "Sent", {"QueueName": "q"})


async def test_a_rate_is_the_sum_over_the_day_and_the_peak_that_of_five_minutes() -> None:
    client = Metrics({"Sum": 8640.0, "SampleCount": 864.0}, {"Sum": 0.0, "SampleCount": 0.0})
    assert await read(client) == Readings(mean_per_s=0.1, peak_per_s=28.8, average=10.0)
    assert client.asked["EndTime"] - client.asked["StartTime"] == timedelta(days=1)
    assert client.asked["Dimensions"] == [{"Name": "QueueName", "Value": "q"}]


async def test_no_reading_is_not_a_rate_of_zero() -> None:
    with pytest.raises(MetricsUnknownError, match="no readings of Sent"):
        await read(Metrics())


async def test_what_may_not_be_read_is_unknown_with_the_permission() -> None:
    client = Metrics()
    client.error = client_error("get_metric_statistics", "AccessDenied", status=403)
    with pytest.raises(MetricsUnknownError, match="cloudwatch:GetMetricStatistics"):
        await read(client)
