"""A container keeps the service's rules without any network: writes, expiry, feeds, scans."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.clock import Clock
from sandbox.cosmos import keys
from sandbox.cosmos.container import Container
from sandbox.cosmos.errors import CosmosError
from sandbox.cosmos.operations import Operation, Outcome
from sandbox.cosmos.transaction import run_batch, run_one

if TYPE_CHECKING:
    from sandbox.cosmos.wire import Json, JsonObject

KEY = keys.make(["p"])


def make_container(clock: Clock | None = None, *, retained: int = 100, **settings: Json) -> Container:
    """A container partitioned by /pk."""
    properties: JsonObject = {"id": "c", "partitionKey": {"paths": ["/pk"]}, **settings}
    return Container(
        properties,
        b"12345678",
        "dbs/d/colls/c/",
        clock=clock or Clock(lambda: 1_000.0),
        partitions=1,
        retained=retained,
        previous_images=True,
    )


def doc(id_: str, **members: Json) -> JsonObject:
    """A document in partition p."""
    return {"id": id_, "pk": "p", **members}


def put(container: Container, id_: str, **members: Json) -> Outcome:
    """Upsert a document in partition p."""
    return run_one(container, KEY, Operation("upsert", document=doc(id_, **members)))


def ids(container: Container) -> list[str]:
    """The ids of what is there."""
    container.expire()
    return [item.id for item in container.items()]


@pytest.mark.parametrize(
    ("ttl", "status"), [(0, 400), (-2, 400), ("5", 400), (1.5, 400), (True, 400), (1, 201), (-1, 201), (None, 201)]
)
def test_only_seconds_and_minus_one_are_times_to_live(ttl: Json, status: int) -> None:
    container = make_container(defaultTtl=-1)
    try:
        answered = put(container, "a", ttl=ttl).status
    except CosmosError as error:
        answered = error.status
    assert answered == status


def test_items_expire_by_their_own_time_or_the_default() -> None:
    clock = Clock(lambda: 1_000.0)
    container = make_container(clock, defaultTtl=10)
    put(container, "default")
    put(container, "short", ttl=5)
    put(container, "never", ttl=-1)
    clock.advance(5)
    assert ids(container) == ["default", "never"]
    put(container, "default")
    clock.advance(5)
    assert ids(container) == ["default", "never"], "a rewrite starts the time anew"
    clock.advance(5)
    assert ids(container) == ["never"]
    last = list(container.partitions[0].versions.after(0))[-1]
    assert (last.operation, last.id, last.expired) == ("delete", "default", True)


def test_without_a_default_times_to_live_have_no_effect_until_it_is_set() -> None:
    clock = Clock(lambda: 1_000.0)
    container = make_container(clock)
    put(container, "a", ttl=5)
    clock.advance(60)
    assert ids(container) == ["a"]
    container.replace({**container.properties, "defaultTtl": -1})
    assert ids(container) == []


def test_a_failed_batch_changes_nothing() -> None:
    container = make_container()
    put(container, "a", n=1)
    lsn = container.partitions[0].lsn
    outcomes = run_batch(
        container,
        KEY,
        [Operation("upsert", document=doc("a", n=2)), Operation("delete", "a"), Operation("delete", "a")],
    )
    assert [outcome.status for outcome in outcomes] == [424, 424, 404]
    assert container.partitions[0].lsn == lsn
    assert b'"n":1' in next(container.items()).body


def test_operations_of_a_batch_see_those_before_them() -> None:
    container = make_container()
    outcomes = run_batch(
        container,
        KEY,
        [
            Operation("create", document=doc("a")),
            Operation("delete", "a"),
            Operation("create", document=doc("a", n=2)),
            Operation("read", "a"),
        ],
    )
    assert [outcome.status for outcome in outcomes] == [201, 204, 201, 200]
    assert ids(container) == ["a"]
    assert container.partitions[0].lsn == 3


@pytest.mark.parametrize("id_", ["", "a/b", "a\\b", "a?b", "a#b", "x" * 1_024, "é" * 512])
def test_ids_the_service_refuses(id_: str) -> None:
    with pytest.raises(CosmosError) as refused:
        put(make_container(), id_)
    assert refused.value.status == 400


@pytest.mark.parametrize("id_", [" ", "x" * 1_023, "a%b", "é" * 511])
def test_ids_the_service_takes(id_: str) -> None:
    assert put(make_container(), id_).status == 201


def test_an_item_of_two_megabytes_is_the_largest() -> None:
    frame = len('{"id":"a","pk":"p","pad":""}')
    assert put(make_container(), "a", pad="x" * (2 * 1024 * 1024 - frame)).status == 201
    with pytest.raises(CosmosError) as refused:
        put(make_container(), "a", pad="x" * (2 * 1024 * 1024 - frame + 1))
    assert refused.value.status == 413


def test_the_document_must_lie_in_the_partition_named() -> None:
    with pytest.raises(CosmosError) as refused:
        run_one(make_container(), keys.make(["q"]), Operation("create", document=doc("a")))
    assert (refused.value.status, refused.value.substatus) == (400, 1001)


def test_the_latest_feed_holds_each_item_once_at_its_last_write() -> None:
    container = make_container()
    feed = container.partitions[0].latest
    for round_ in range(50):
        for id_ in range(100):
            put(container, f"i{id_}", n=round_)
    run_one(container, KEY, Operation("delete", "i7"))
    assert [item.id for item in feed.after(0)] == [f"i{n}" for n in range(100) if n != 7]
    assert [item.id for item in feed.after(4_998)] == ["i98", "i99"]


def test_the_all_versions_feed_keeps_a_bounded_past() -> None:
    container = make_container(retained=10)
    for n in range(30):
        put(container, "a", n=n)
    feed = container.partitions[0].versions
    kept = list(feed.after(0))
    assert 10 <= len(kept) <= 13
    assert kept[-1].lsn == 30
    assert feed.trimmed_lsn == kept[0].lsn - 1
    assert kept[-1].previous_lsn == 29
    assert kept[-1].previous is not None


def test_a_scan_is_not_disturbed_by_rewrites_and_deletes() -> None:
    container = make_container()
    partition = container.partitions[0]
    for n in range(3_000):
        put(container, f"i{n:04}")
    for n in range(2_800):
        run_one(container, KEY, Operation("delete", f"i{n:04}"))
    put(container, "i2900", n=1)
    assert [item.id for item in partition.scan()] == [f"i{n}" for n in range(2_800, 3_000)]
    assert [item.id for item in partition.scan(2_999)] == ["i2999"]
    assert partition.count() == 200


def test_keys_keep_their_partition_and_agree_with_its_range() -> None:
    container = Container(
        {"id": "c", "partitionKey": {"paths": ["/pk"]}},
        b"12345678",
        "",
        clock=Clock(),
        partitions=5,
        retained=0,
        previous_images=False,
    )
    used = {container.partition_of(key).id for key in (keys.make([f"k{n}"]) for n in range(200))}
    assert used == {"0", "1", "2", "3", "4"}
    for key in (keys.make([n]) for n in range(200)):
        partition = container.partition_of(key)
        assert partition.low <= key.epk < partition.high
