"""Promises of the partition key and id that are taken where the config names none."""

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.cosmos import PartitionKey
from azure.cosmos.aio._cosmos_client_connection_async import CosmosClientConnection
from hypothesis import given
from hypothesis import strategies as st

from connectors.azure.cosmos.containers import mapping_rules
from connectors.azure.cosmos.mapping import RESERVED, CosmosDocument, MappingRules, from_cosmos, to_cosmos
from fakes.targets import WHERE, cosmos_config
from replicator.documents import Document, Value
from replicator.errors import ConfigurationError
from strategies import key_texts, names, records

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

nameable = names.filter(lambda name: not ({'"', "'"} <= set(name) or name.endswith("\\")))
"""Names that a path can be written for; any other is refused, see below."""


def default_rules(*key_names: str, **fields: Any) -> MappingRules:
    return mapping_rules(cosmos_config("http://127.0.0.1:1", **fields), key_names, WHERE)


def written(document: Document, rules: MappingRules) -> CosmosDocument:
    return to_cosmos(document, rules, version="1", committed_at=None, expires_at=None, now=NOW, hold_expiry=False)


def extracted(written: CosmosDocument, rules: MappingRules) -> object:
    """The partition key as the SDK takes it out of the document that it is given to write."""
    (path,) = rules.partition_paths
    definition = PartitionKey(path)
    return CosmosClientConnection._ExtractPartitionKey(_Extractor(), definition, written.body)  # type: ignore[arg-type, no-untyped-call]


class _Extractor:
    """As much of the client as the extraction uses."""

    _retrieve_partition_key = CosmosClientConnection._retrieve_partition_key


@pytest.mark.parametrize(
    ("key_names", "path"),
    [
        (("customer",), "/customer"),
        (("customer", "order_id"), "/customer"),
        (("id",), "/id"),
        (("id", "order_id"), "/id_"),
        (("id_", "order_id"), "/id__"),
        (("customer", "id"), "/customer"),
        (("ttl",), "/ttl_"),
        (("_ts", "order_id"), "/_ts_"),
        (("_etag", "order_id"), "/_etag_"),
        (("order-id",), '/"order-id"'),
        (("a/b", "id"), '/"a/b"'),
        (('a"b',), "/'a\"b'"),
        (("é",), '/"é"'),
    ],
)
def test_documents_are_partitioned_by_the_hash_key_as_it_is_written(key_names: tuple[str, ...], path: str) -> None:
    rules = default_rules(*key_names)
    assert rules.partition_paths == (path,)
    assert rules.id_from == key_names


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_hash_key_of_any_reserved_name_is_taken(name: str) -> None:
    rules = default_rules(name, "order_id")
    document = written({name: "c1", "order_id": "o1"}, rules)
    assert document.partition_key == "c1"


@given(st.data(), nameable, names)
def test_the_hash_key_alone_decides_where_a_document_lies(data: st.DataObject, hash_name: str, sort_name: str) -> None:
    """And the SDK, which takes the partition key out of the document by itself, finds the same."""
    key_names = (hash_name,) if hash_name == sort_name else (hash_name, sort_name)
    rules = default_rules(*key_names)
    hashes = data.draw(st.lists(key_texts, min_size=2, max_size=2, unique=True))
    sorts = data.draw(st.lists(key_texts, min_size=2, max_size=2, unique=True)) if len(key_names) == 2 else [None]
    where: dict[str, set[object]] = {}
    for hash_value, sort_value in itertools.product(hashes, sorts):
        key: dict[str, Value] = dict(zip(key_names, (hash_value, sort_value), strict=False))
        document = written(key, rules)
        assert extracted(document, rules) == document.partition_key
        where.setdefault(hash_value, set()).add(document.partition_key)
    assert all(len(found) == 1 for found in where.values()), "one logical partition for each hash key"
    assert len(set.union(*where.values())) == len(hashes), "and for no other"


@given(st.data(), nameable, names)
def test_records_come_back_whatever_their_keys_are_called(data: st.DataObject, hash_name: str, sort_name: str) -> None:
    rules = default_rules(*dict.fromkeys((hash_name, sort_name)))
    record = data.draw(records(hash_name, sort_name))
    assert from_cosmos(written(record, rules).body) == record


@pytest.mark.parametrize("name", ["a\"b'c", "ends with \\", '"\\'])
def test_a_name_that_no_path_can_name_is_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\[/id\]") as refused:
        default_rules(name)
    assert refused.value.where == f"{WHERE}.partition_key"
    assert default_rules(name, partition_key=("/id",)).partition_paths == ("/id",)


def test_records_that_would_collide_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="different records would get the same id") as refused:
        default_rules("customer", "order_id", id=("customer",))
    assert refused.value.where == f"{WHERE}.id"


def test_a_path_that_is_no_key_attribute_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="/total is neither /id nor a key attribute") as refused:
        default_rules("customer", partition_key=("/total",))
    assert refused.value.where == f"{WHERE}.partition_key"
    assert "key attributes are customer" in refused.value.fix
