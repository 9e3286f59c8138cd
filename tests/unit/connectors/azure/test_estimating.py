"""Promise: what targets tell for an estimate is assumed until a probe measures it, and never above a known limit."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectors.azure.blob.config import BlobTargetConfig
from connectors.azure.blob.estimating import blob_figures
from connectors.azure.blob.estimating import with_probe as with_blob_probe
from connectors.azure.cosmos.estimating import (
    REQUEST_UNIT,
    Throughput,
    container_figures,
    filler,
    size_bytes,
    with_probe,
)
from connectors.azure.servicebus.estimating import OPERATION, queue_figures
from replicator.estimate.figures import Origin
from replicator.estimate.probing import Probed

UNLIMITED = Throughput(None)
PROBED = Probed(writes=500, slot_per_s=100.0, most_per_s=900.0, units=10.0)
BODY = {"id": "1", "text": "x" * 2000}

values = st.text(max_size=5) | st.integers() | st.booleans() | st.none()
bodies = st.dictionaries(st.text(min_size=3, max_size=5), values | st.lists(values, max_size=3), max_size=4)


def test_without_a_probe_everything_is_assumed_and_bounded_by_the_throughput() -> None:
    free = container_figures([BODY], None, UNLIMITED, "plan")
    assert {free.copy.origin, free.follow.origin, free.verify.origin} == {Origin.ASSUMED}
    units = free.copy.needs[REQUEST_UNIT]
    bound = container_figures([BODY], None, Throughput(units * 7), "plan")
    assert bound.copy.most_per_s == 7.0
    assert bound.follow.needs[REQUEST_UNIT] > units, "replacing costs more than creating"


def test_a_target_of_records_of_unknown_size_is_unknown() -> None:
    assert container_figures([], None, UNLIMITED, "").copy.most_per_s is None
    assert container_figures([], 100.0, UNLIMITED, "").copy.most_per_s is not None


def test_a_probe_replaces_what_was_assumed_and_no_limit() -> None:
    figures = container_figures([BODY], None, UNLIMITED, "plan")
    measured = with_probe(figures, PROBED, UNLIMITED, 2000)
    assert (measured.copy.most_per_s, measured.copy.slot_per_s) == (900.0, 100.0)
    assert measured.copy.needs == {REQUEST_UNIT: 10.0}
    assert measured.copy.origin is Origin.MEASURED
    assert measured.verify.origin is Origin.ASSUMED
    assert with_probe(figures, PROBED, Throughput(400.0), 2000).copy.most_per_s == 40.0


def test_a_probe_without_an_answer_changes_nothing_but_is_told() -> None:
    figures = container_figures([BODY], None, UNLIMITED, "plan")
    after = with_probe(figures, Probed(0, 0.0, 0.0, 0.0, refused="full"), UNLIMITED, 2000)
    assert after.copy == figures.copy
    assert "full" in after.notes[-1]


@given(bodies)
def test_what_a_probe_writes_is_of_the_same_shape_and_tells_nothing(body: dict[str, Any]) -> None:
    made_up = filler(body)
    assert [type(value) for value in made_up.values()] == [type(value) for value in body.values()]
    assert set(json.dumps(made_up).lower()) <= set(' "{}[],:0123456789-xtruefalsn')


def test_what_a_probe_writes_is_about_as_large() -> None:
    body = {"id": "1", "name": "somebody", "city": "Köln", "amount": 12345, "lines": [{"text": "y" * 500}] * 3}
    assert abs(size_bytes(filler(body)) - size_bytes(body)) < 20


def test_blobs_take_what_is_looked_at_beside_them_too() -> None:
    config = BlobTargetConfig(type="blob", endpoint="https://a.blob.core.windows.net", container="media")
    small, large = blob_figures(config, 1000.0, "plan"), blob_figures(config, 50e6, "plan")
    assert (small.copy.most_per_s or 0) > (large.copy.most_per_s or 0) > 0
    assert large.copy.needs["blob.write"] == 1 + 6
    assert blob_figures(config, None, "").copy.most_per_s is None
    assert "no container of the marker" in blob_figures(config, None, "").notes[0]
    measured = with_blob_probe(small, config, PROBED)
    assert measured.copy.origin is Origin.MEASURED
    assert (measured.copy.most_per_s or 0) < PROBED.most_per_s
    slow = config.model_copy(update={"max_bytes_per_s": 2000.0})
    assert with_blob_probe(small, slow, PROBED).copy.most_per_s == 2.0


def test_nothing_is_ever_sent_to_a_queue() -> None:
    figures = queue_figures(200_000.0)
    assert figures.probe == ""
    assert "consumers" in figures.notes[0]
    assert figures.copy.needs[OPERATION] > 3
