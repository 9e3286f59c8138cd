"""Promises of the rules that say where records go."""

from decimal import Decimal

import pytest

from connectors.azure.cosmos.mapping import MappingRules, tombstone
from connectors.azure.cosmos.sidecar import SIDECAR


@pytest.mark.parametrize(
    ("id_from", "paths"),
    [
        ((), ("/pk",)),
        (("other",), ("/pk",)),
        (("pk",), ()),
        (("pk",), ("/pk", "/sk", "/id", "/x")),
        (("pk",), ("/pk", '/"pk"')),
        (("pk",), ("pk",)),
        (("pk",), ("/",)),
        (("pk",), ("/pk/sk",)),
        (("pk",), ("/other",)),
        (("pk",), ("/ttl",)),
        (("pk",), (f"/{SIDECAR}",)),
    ],
)
def test_rules_that_no_record_could_follow_are_refused(id_from: tuple[str, ...], paths: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"id|partition"):
        MappingRules(("pk", "sk", "ttl"), id_from, paths)


@pytest.mark.parametrize(
    ("id_from", "paths", "apart"),
    [
        (("sk",), ("/pk",), True),
        (("pk", "sk"), ("/id",), True),
        (("pk",), ("/pk",), False),
        (("sk",), ("/id",), False),
    ],
)
def test_rules_say_whether_records_may_collide(
    id_from: tuple[str, ...], paths: tuple[str, ...], *, apart: bool
) -> None:
    assert MappingRules(("pk", "sk"), id_from, paths).tells_keys_apart is apart


def test_partition_paths_name_members_as_they_are_written() -> None:
    rules = MappingRules(("ttl", "a/b"), ("a/b",), ("/ttl_", '/"a/b"'))
    stone = tombstone({"ttl": Decimal("2.0"), "a/b": b"\xff"}, rules, version="1", committed_at=None)
    assert stone.partition_key == [2, "/w=="]
