"""What the seed contains, that it is legal in DynamoDB, and that it is always the same."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from sandbox.workload import awkward_items, order, seed_items
from sandbox.workload.awkward import LARGE_BYTES, NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.workload import Attribute, Item

MAX_ITEM_BYTES = 400 * 1024


def types_in(value: Attribute) -> Iterator[str]:
    ((kind, content),) = value.items()
    yield kind
    for inner in content if kind == "L" else content.values() if kind == "M" else ():
        yield from types_in(inner)


def depth(value: Attribute) -> int:
    ((kind, content),) = value.items()
    inside = content if kind == "L" else content.values() if kind == "M" else ()
    return (kind in "LM") + max((depth(inner) for inner in inside), default=0)


def size(item: Mapping[str, Attribute]) -> int:
    return len(json.dumps(item, ensure_ascii=False, default=lambda b: b.decode("latin-1")).encode())


def keys(items: list[Item]) -> list[tuple[str, str]]:
    return [(item["customer"]["S"], item["order_id"]["S"]) for item in items]


def test_the_same_seed_gives_the_same_items() -> None:
    assert list(seed_items(1_000, seed=1)) == list(seed_items(1_000, seed=1))
    assert list(seed_items(1_000, seed=1)) != list(seed_items(1_000, seed=2))
    assert order(random.Random(5), ("c", "o"), 1) == order(random.Random(5), ("c", "o"), 1)


def test_keys_are_distinct_and_within_the_services_limits() -> None:
    found = keys(list(seed_items(5_000)))
    assert len(set(found)) == len(found) == 5_000
    assert max(len(customer.encode()) for customer, _ in found) == 2_048
    assert max(len(order_id.encode()) for _, order_id in found) == 1_024
    assert all(customer and order_id for customer, order_id in found)


def test_every_item_has_a_version_and_fits() -> None:
    for item in seed_items(5_000):
        assert item["version"] == {"N": "1"}
        assert size(item) < MAX_ITEM_BYTES
        assert all(item)  # no attribute without a name


def test_awkward_items_cover_what_they_promise() -> None:
    items = dict(awkward_items())
    assert len({label for label, _ in awkward_items()}) == len(list(awkward_items()))
    kinds = {kind for item in items.values() for value in item.values() for kind in types_in(value)}
    assert kinds == {"S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"}
    assert max(depth(value) for item in items.values() for value in item.values()) == 30
    assert sum(size(item) >= LARGE_BYTES for item in items.values()) >= 3
    names = items["attribute names"]
    assert {"id", "ttl", "_ts", "_etag", "_self", "_rid", "id_", "a.b", "a/b", "😀", "1st", "$", "#"} <= set(names)
    assert items["numbers"]["smallest"] == {"N": "1E-130"}
    assert len(NUMBERS["digits_38"]) == 38


def test_orders_use_every_type_too() -> None:
    orders = [item for item in seed_items(1_000) if item["customer"]["S"].startswith("customer-")]
    kinds = {kind for item in orders for value in item.values() for kind in types_in(value)}
    assert kinds == {"S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"}
    assert any("expires_at" in item for item in orders)
