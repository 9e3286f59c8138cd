"""Promise: what goes out together is what the service takes together, and nothing is lost or moved past its like."""

import json
from collections import defaultdict

import pytest
from azure.cosmos._base import _format_batch_operations
from hypothesis import given
from hypothesis import strategies as st

from connectors.azure.cosmos.mapping import MAX_DOCUMENT_BYTES, CosmosDocument
from connectors.azure.cosmos.writing import MOST_BATCH_BYTES, MOST_OPERATIONS, Action, Write, units

SERVICE_LIMIT_BYTES = 2 * 1024 * 1024

sizes = st.integers(0, 20) | st.sampled_from([200_000, 499_000, MOST_BATCH_BYTES, MAX_DOCUMENT_BYTES - 100])
keys = st.sampled_from(["a", "b", 1, 1.5, ["a", "b"], ["a", 1]])
shapes = st.tuples(st.sampled_from(list(Action)), keys, sizes)


def made(shapes: list[tuple[Action, object, int]]) -> list[Write]:
    """Writes of different records."""
    return [write(f"r{n}", action, key, size) for n, (action, key, size) in enumerate(shapes)]


def write(id_: str, action: Action, partition_key: object, size: int = 0) -> Write:
    document = CosmosDocument(id_, partition_key, {"id": id_, "filler": "x" * size})  # type: ignore[arg-type]
    return Write(id_, action, document)


def logical(write: Write) -> str:
    return json.dumps(write.document.partition_key)


@given(st.lists(shapes, max_size=30) | st.lists(st.tuples(st.just(Action.UPSERT), keys, st.just(1)), max_size=250))
def test_units_are_what_the_service_takes(shapes: list[tuple[Action, object, int]]) -> None:
    for unit in units(made(shapes)):
        assert 1 <= len(unit) <= MOST_OPERATIONS
        assert len({logical(w) for w in unit}) == 1
        if len(unit) > 1:
            assert not any(w.action is Action.DELETE for w in unit)
            sent = _format_batch_operations([(w.action.value, (w.document.body,)) for w in unit])
            assert len(json.dumps(sent).encode()) <= SERVICE_LIMIT_BYTES


@given(st.lists(shapes, max_size=30), st.integers(1, MOST_OPERATIONS))
def test_nothing_is_lost_doubled_or_moved_past_its_like(shapes: list[tuple[Action, object, int]], most: int) -> None:
    writes = made(shapes)
    found = list(units(writes, most))
    assert sorted(w.key for unit in found for w in unit) == sorted(w.key for w in writes)
    order: dict[str, list[str]] = defaultdict(list)
    for unit in found:
        assert len(unit) <= most
        order[logical(unit[0])] += [w.key for w in unit if w.action is not Action.DELETE]
    for partition, keys in order.items():
        assert keys == [w.key for w in writes if w.action is not Action.DELETE and logical(w) == partition]


def test_as_many_as_may_go_together_do() -> None:
    writes = [write(f"r{n}", Action.UPSERT, "a") for n in range(250)] + [write("s", Action.CREATE, "b")]
    assert [len(unit) for unit in units(writes)] == [100, 100, 50, 1]


@pytest.mark.parametrize("keys", [("a", ["a"]), (1, "1"), (1.5, "1.5")])
def test_partition_keys_that_look_alike_are_told_apart(keys: tuple[object, object]) -> None:
    writes = [write(f"r{n}", Action.UPSERT, key) for n, key in enumerate(keys)]
    assert [len(unit) for unit in units(writes)] == [1, 1]
