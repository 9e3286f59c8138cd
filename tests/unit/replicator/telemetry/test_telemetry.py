"""Promises of logs and metrics: what went wrong can be read, and what counts is seen from its first event."""

import io
import json
import logging

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


def test_what_alerts_look_at_is_there_before_its_first_event() -> None:
    metrics = Metrics()
    PipelineTelemetry(metrics, "orders")
    exposed = generate_latest(metrics.registry).decode()
    for name in ("replicator_late_records_total", "replicator_changes_rejected_total"):
        assert f'{name}{{pipeline="orders"}} 0.0' in exposed
