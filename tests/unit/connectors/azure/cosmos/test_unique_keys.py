"""Promises where a container has unique keys: what another document stands in the way of is refused, and only once."""

from dataclasses import replace
from typing import Any

import pytest

from connectors.azure.cosmos.containers import Existing
from connectors.azure.cosmos.guarded import Guarded
from connectors.azure.cosmos.mapping import MappingRules
from connectors.azure.cosmos.sidecar import is_tombstone
from connectors.azure.cosmos.writing import Writer, as_write
from fakes.cosmos_bench import NOW, RULES, CosmosBench, delete, key, upsert
from replicator.documents import Document
from replicator.model import ABSENT, Change, GuardedResult, Rejection, Rule

UNIQUE = replace(RULES, unique_paths=("/n",))


class Bench(CosmosBench):
    """A container in which no two records of a logical partition may have the same `n`."""

    def __init__(self) -> None:
        super().__init__()
        self.container.unique = "n"
        self.guarded = Guarded(self.container, self.calls, UNIQUE)

    async def reconcile(self, *changes: Change[Document]) -> GuardedResult:
        observed = await self.guarded.observe([c.key for c in changes])
        return await self.guarded.replace({c.key: c for c in changes}, observed, Rule.FOLLOW)

    async def write(self, rule: Rule, *changes: Change[Document]) -> list[Rejection]:
        writes = [as_write(change, rule, UNIQUE, NOW) for change in changes]
        return await Writer(self.container, self.calls).write([w for w in writes if w is not None])


# --- guarded writes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [False, True])
async def test_a_guarded_write_that_a_unique_key_refuses_is_no_conflict(*, there: bool) -> None:
    """A conflict would be tried again for ever: looking again changes nothing."""
    bench = Bench()
    bench.put(upsert("first", 1))
    if there:
        bench.put(upsert("second", 2))
    result = await bench.reconcile(upsert("second", 1), upsert("third", 3))
    assert result.conflicts == ()
    assert [(r.key, r.reason[:46]) for r in result.rejections] == [
        (key("second"), "Cosmos DB refuses the document: status 409/0: "[:46])
    ]
    assert bench.numbers() == {"first": "1", "third": "3"} | ({"second": "2"} if there else {})


async def test_a_guarded_creation_of_what_has_come_to_be_is_a_conflict_all_the_same() -> None:
    bench = Bench()
    bench.put(upsert("second", 2))
    result = await bench.guarded.replace({key("second"): upsert("second", 1)}, {key("second"): ABSENT}, Rule.FOLLOW)
    assert result == GuardedResult(conflicts=(key("second"),))


async def test_once_the_other_document_gives_way_it_is_written() -> None:
    bench = Bench()
    bench.put(upsert("first", 1))
    assert (await bench.reconcile(upsert("second", 1))).rejections
    assert await bench.reconcile(upsert("first", 2)) == GuardedResult()
    assert await bench.reconcile(upsert("second", 1)) == GuardedResult()
    assert bench.numbers() == {"first": "2", "second": "1"}


# --- tombstones ---------------------------------------------------------------------------------------------------


async def test_any_number_of_tombstones_fit_into_a_logical_partition() -> None:
    """They hold the key alone; what is absent counts as null, and null is unique too."""
    bench = Bench()
    bench.put(upsert("s0", 0))
    assert await bench.write(Rule.OVERLAP, *(delete(f"s{n}") for n in range(5))) == []
    assert sum(map(is_tombstone, bench.container.held())) == 5
    assert await bench.write(Rule.OVERLAP, upsert("s5", 0)) == [], "nor do they keep a value from the next record"


PATHS: dict[str, dict[str, Any]] = {
    "/email": {"email": "~~s"},
    "/address/zip": {"address": {"zip": "~~s"}},
    "/'a/b'/\"c d\"": {"a/b": {"c d": "~~s"}},
    "/sk": {"sk": "s"},
    "/pk/inner": {"pk": "a"},
}


@pytest.mark.parametrize("path", PATHS)
def test_a_tombstone_has_a_value_of_its_own_at_each_path_but_keeps_its_key(path: str) -> None:
    rules = replace(RULES, unique_paths=(path, "/other"))
    write = as_write(delete("s"), Rule.OVERLAP, rules, NOW)
    assert write is not None
    key_alone = {"id": "s", "pk": "a", "sk": "s", "other": "~~s"}
    assert {k: v for k, v in write.document.body.items() if k[0] != "_"} == {**key_alone, **PATHS[path]}


def test_the_paths_are_those_of_all_unique_keys() -> None:
    policy = {"uniqueKeys": [{"paths": ["/a", "/b/c"]}, {"paths": ["/d"]}]}
    assert Existing({"uniqueKeyPolicy": policy}, None).unique_paths == ("/a", "/b/c", "/d")
    without: list[dict[str, Any] | None] = [None, {}, {"uniqueKeyPolicy": {}}, {"uniqueKeyPolicy": {"uniqueKeys": []}}]
    for properties in without:
        assert Existing(properties, None).unique_paths == ()


def test_without_unique_keys_a_tombstone_holds_the_key_alone() -> None:
    rules = MappingRules(("pk", "sk"), ("sk",), ("/pk",))
    write = as_write(delete("s"), Rule.OVERLAP, rules, NOW)
    assert write is not None
    assert {name for name in write.document.body if name[0] != "_"} == {"id", "pk", "sk"}
