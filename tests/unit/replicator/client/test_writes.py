"""Promises of the hook's reading: each record that was written is named as the daemon names it, and no other is."""

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.aws.dynamodb.records import wire_key
from replicator.client.tables import MOST_KEYS, Migrated, Wait, migrated, waits
from replicator.client.writes import OPERATIONS, Written, key_of, written
from replicator.documents import Document, key_text

ORDERS = Migrated("o", "orders", ("customer", "order_id"), "eu-central-1")
ARN = "arn:aws:dynamodb:eu-central-1:123456789012:table/orders"


def item(name: str) -> dict[str, Any]:
    return {"customer": {"S": "c"}, "order_id": {"S": name}, "more": {"L": []}}


def text(name: str) -> str:
    return f'{{"customer":"c","order_id":"{name}"}}'


def asked(operation: str, request: dict[str, Any], answer: dict[str, Any] | None = None) -> list[Wait]:
    return waits([ORDERS], written(operation, request, answer or {}), "eu-central-1")


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
numbers = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20)


@given(st.fixed_dictionaries({"a": texts | numbers | st.binary(min_size=1), "b": texts | numbers}))
def test_a_key_on_the_wire_has_the_text_that_the_daemon_knows_it_by(key: Document) -> None:
    sent = json.loads(json.dumps(wire_key(key_text(key)), default=lambda raw: base64.b64encode(raw).decode()))
    assert key_of({**sent, "other": {"BOOL": True}}, ("b", "a")) == key_text(key)


def test_a_number_has_one_text_however_it_was_sent() -> None:
    assert key_of({"n": {"N": "1.50E+1"}}, ("n",)) == key_text({"n": Decimal(15)})


@pytest.mark.parametrize(
    ("operation", "request_", "names"),
    [
        ("PutItem", {"TableName": "orders", "Item": item("a")}, ["a"]),
        ("PutItem", {"TableName": ARN, "Item": item("a")}, ["a"]),
        ("UpdateItem", {"TableName": "orders", "Key": item("a")}, ["a"]),
        ("DeleteItem", {"TableName": "orders", "Key": item("a")}, ["a"]),
        ("PutItem", {"TableName": "other", "Item": {}}, None),
        ("PutItem", {"TableName": ARN.replace("central", "west"), "Item": {}}, None),
        ("GetItem", {"TableName": "orders", "Key": item("a")}, None),
        (
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "orders", "Item": item("a")}},
                    {"Update": {"TableName": "orders", "Key": item("b")}},
                    {"Delete": {"TableName": "orders", "Key": item("c")}},
                    {"ConditionCheck": {"TableName": "orders", "Key": item("d")}},
                    {"Put": {"TableName": "other", "Item": item("e")}},
                ]
            },
            ["a", "b", "c"],
        ),
        ("ExecuteStatement", {"Statement": 'SELECT * FROM "orders"'}, None),
        ("ExecuteStatement", {"Statement": 'insert  into "orders" value {}'}, []),
        ("ExecuteStatement", {"Statement": "UPDATE orders SET a=1"}, []),
        ("ExecuteStatement", {"Statement": '\n DELETE FROM "orders"."index" WHERE x'}, []),
        ("ExecuteStatement", {"Statement": 'DELETE FROM "other" WHERE x'}, None),
        ("ExecuteStatement", {"Statement": "what is this"}, []),
        ("BatchExecuteStatement", {"Statements": [{"Statement": 'UPDATE "orders"'}, {"Statement": "SELECT"}]}, []),
        ("ExecuteTransaction", {"TransactStatements": [{"Statement": 'UPDATE "other"'}]}, None),
        ("ExecuteTransaction", {"TransactStatements": [{"Statement": 'UPDATE "orders"'}] * 2}, []),
    ],
)
def test_what_a_call_has_written_is_waited_for(
    operation: str, request_: dict[str, Any], names: list[str] | None
) -> None:
    """By key, or everything without one; None is nothing."""
    assert asked(operation, request_) == ([] if names is None else [Wait("o", tuple(map(text, names)))])


def test_of_a_batch_only_what_was_processed_is_waited_for() -> None:
    parts = [
        {"PutRequest": {"Item": item("a")}},
        {"DeleteRequest": {"Key": item("b")}},
        {"PutRequest": {"Item": item("c")}},
    ]
    request = {"RequestItems": {"orders": parts, "other": [parts[0]]}}
    assert asked("BatchWriteItem", request) == [Wait("o", tuple(map(text, "abc")))]
    assert asked("BatchWriteItem", request, {"UnprocessedItems": {"orders": parts[1:]}}) == [Wait("o", (text("a"),))]
    assert asked("BatchWriteItem", request, {"UnprocessedItems": {"orders": parts}}) == []


def test_every_operation_that_may_write_is_known() -> None:
    """Of all that the service has."""
    from botocore.session import get_session  # noqa: PLC0415 — takes a moment

    names = set(get_session().get_service_model("dynamodb").operation_names)
    assert {n for n in names if n.endswith(("Item", "WriteItem", "WriteItems", "Statement", "Transaction"))} == {
        *OPERATIONS,
        "BatchGetItem",
        "GetItem",
    }


def test_many_keys_are_asked_for_in_parts() -> None:
    writes = [Written("orders", item(str(n))) for n in range(MOST_KEYS * 2 + 1)]
    found = waits([ORDERS], [*writes, *writes], "")
    assert [len(wait.keys) for wait in found] == [MOST_KEYS, MOST_KEYS, 1]
    assert len({key for wait in found for key in wait.keys}) == len(writes)


def test_tables_of_the_same_name_are_told_apart_by_region_where_it_is_known() -> None:
    anywhere = Migrated("p", "orders", ("customer", "order_id"))
    writes = [Written("orders", item("a"))]
    assert {w.pipeline for w in waits([ORDERS, anywhere], writes, "eu-central-1")} == {"o", "p"}
    assert {w.pipeline for w in waits([ORDERS, anywhere], writes, "us-east-1")} == {"p"}


def test_tables_are_learned_from_the_daemon() -> None:
    def pipeline(type_: str, mode: str, *place: str) -> dict[str, Any]:
        return {
            "name": "o",
            "type": type_,
            "mode": mode,
            "source": [type_, *place],
            "key_names": ["customer", "order_id"],
        }

    listing = {
        "pipelines": [
            pipeline("dynamodb", "sync", "eu-central-1", "orders"),
            pipeline("dynamodb", "copy", "", "copied"),
            pipeline("s3", "async"),
        ]
    }
    assert migrated(listing) == (ORDERS,)
