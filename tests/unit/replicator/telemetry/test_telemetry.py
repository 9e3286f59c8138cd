"""Promises of logs and metrics: what went wrong can be read, and what counts is seen from its first event."""

import io
import json
import logging
from datetime import UTC, datetime

import pytest
import structlog
from prometheus_client import generate_latest

from replicator.telemetry import Metrics, PipelineTelemetry, configure_logging


def test_a_library_s_traceback_shows_in_json() -> None:
    out = io.StringIO()
    configure_logging(as_json=True, stream=out)
    table: dict[str, str] = {}
    try:
        table["gone"]
    except KeyError:
        logging.getLogger("some.library").exception("it failed")
    (line,) = out.getvalue().splitlines()
    assert "KeyError: 'gone'" in json.loads(line)["exception"]


@pytest.mark.parametrize("as_json", [True, False])
def test_instants_are_spelled_as_everywhere_else(as_json: bool) -> None:
    out = io.StringIO()
    configure_logging(as_json=as_json, stream=out)
    structlog.get_logger().info("draining", fence=datetime(2026, 1, 1, tzinfo=UTC))
    assert "2026-01-01T00:00:00+00:00" in out.getvalue()
    assert "datetime" not in out.getvalue()


def test_what_alerts_look_at_is_there_before_its_first_event() -> None:
    metrics = Metrics()
    PipelineTelemetry(metrics, "orders")
    exposed = generate_latest(metrics.registry).decode()
    for name in ("late_records", "changes_rejected", "target_throttles", "source_throttles"):
        assert f'replicator_{name}_total{{pipeline="orders"}} 0.0' in exposed
    for side in ("source", "target"):
        assert f'replicator_degraded{{pipeline="orders",side="{side}"}} 0.0' in exposed
