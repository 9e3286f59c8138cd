"""Promises of the mapping: legal for Cosmos, natural to read, exactly reversible, and telling of foreign changes."""

import copy
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from azure.cosmos._synchronized_request import _request_body_from_data
from hypothesis import given
from hypothesis import strategies as st

from connectors.aws.dynamodb.attributes import write_item
from connectors.azure.cosmos import mapping
from connectors.azure.cosmos.mapping import (
    MAX_DOCUMENT_BYTES,
    RESERVED,
    CosmosDocument,
    DocumentRefusedError,
    MappingRules,
    from_cosmos,
    matches_digest,
    to_cosmos,
    tombstone,
)
from connectors.azure.cosmos.sidecar import SIDECAR, is_ours, is_tombstone, sidecar
from replicator.documents import Document, Value, digest
from strategies import records, texts, values

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SYSTEM: dict[str, object] = {
    "_rid": "r==",
    "_self": "dbs/x/",
    "_etag": '"1"',
    "_ts": 1,
    "_attachments": "a/",
    "_lsn": 9,
}
RULES = MappingRules(("pk", "sk"), ("sk",), ("/pk",))
ID_RULES = MappingRules(("id",), ("id",), ("/id",))


def mapped(
    document: Document, rules: MappingRules = RULES, *, expires_at: datetime | None = None, hold_expiry: bool = False
) -> CosmosDocument:
    return to_cosmos(
        document,
        rules,
        version="17",
        committed_at=NOW,
        expires_at=expires_at,
        now=NOW,
        hold_expiry=hold_expiry,
    )


def as_served(body: object) -> dict[str, object]:
    """What the service gives back: every number a double, system members added."""
    text = json.dumps(body, allow_nan=False)
    return {**json.loads(text, parse_int=lambda digits: _expanded(float(digits)), parse_float=_plain), **SYSTEM}


def _expanded(double: float) -> int | float:
    """Whole doubles in full, as a service may print them, the others as they are."""
    return int(double) if double.is_integer() else double


def _plain(text: str) -> int | float:
    return _expanded(float(text))


@given(records("pk", "sk"))
def test_a_record_is_mapped_back_exactly(document: Document) -> None:
    written = mapped(document)
    text = json.dumps(written.body)
    for body in (json.loads(text), json.loads(text, parse_int=float), as_served(written.body)):
        assert from_cosmos(body) == document
        assert digest(from_cosmos(body)) == digest(document)
        assert matches_digest(body)


@given(records("id"))
def test_a_record_with_the_key_id_is_mapped_back_exactly(document: Document) -> None:
    written = mapped(document, ID_RULES)
    assert from_cosmos(as_served(written.body)) == document
    assert written.partition_key == written.body["id"] == written.id


@given(records("id", "sk"), st.sampled_from([("id",), ("sk",), ("id", "sk")]))
def test_the_partition_key_is_in_the_body(document: Document, id_from: tuple[str, ...]) -> None:
    rules = MappingRules(("id", "sk"), id_from, ("/id_", "/sk", "/id"))
    written = mapped(document, rules)
    assert written.partition_key == [written.body["id_"], written.body["sk"], written.id]
    assert from_cosmos(as_served(written.body)) == document


@given(records("pk", "sk"))
def test_a_document_is_legal_and_in_proportion(document: Document) -> None:
    body = mapped(document).body
    members = set(body) - {"id", SIDECAR}
    assert not members & RESERVED
    assert len(json.dumps(body)) <= 8 * len(repr(write_item(document))) + 400


@given(records("pk", "sk"))
def test_the_same_record_gives_the_same_document(document: Document) -> None:
    again = mapped(copy.deepcopy(document))
    assert again == mapped(document)
    assert json.dumps(again.body) == json.dumps(mapped(document).body)


@given(records("pk", "sk"), texts, values)
def test_a_foreign_change_is_noticed(document: Document, member: str, value: Value) -> None:
    changed = {**document, f"x{member}": value}
    body = {**mapped(changed).body, SIDECAR: mapped(document).body[SIDECAR]}
    assert matches_digest(body) == (digest(changed) == digest(document))


@given(
    st.dictionaries(
        st.sampled_from(["a", "id", SIDECAR]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | texts | st.just("\ud800"),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["v", "digest", "types", "a", "*"]), inner),
            max_leaves=6,
        ),
    )
)
def test_no_body_makes_the_comparison_raise(body: dict[str, object]) -> None:
    assert matches_digest(body) is False
    note = {**mapped({"pk": "p", "sk": "s"}).body}[SIDECAR]
    assert matches_digest({**body, SIDECAR: note}) is False


def test_a_document_nested_beyond_reason_does_not_match() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    assert not matches_digest({**mapped({"pk": "p", "sk": "s"}).body, "a": deep})


def test_a_document_reads_naturally() -> None:
    document: Document = {
        "pk": "c-17",
        "sk": Decimal(3),
        "id": "other",
        "id_": None,
        "ttl": Decimal(1_900_000_000),
        "name": "Zoë",
        "price": Decimal("19.90"),
        "exact": Decimal("0.12345678901234567891"),
        "tags": frozenset({"b", "a"}),
        "lines": [{"sku": "x", "raw": b"\x01"}, {"sku": "y", "raw": b"\x02"}],
        "inner": {"id": "kept", "_ts": True},
    }
    assert mapped(document).body == {
        "id": "3",
        "pk": "c-17",
        "sk": 3,
        "id_": "other",
        "id__": None,
        "ttl_": 1_900_000_000,
        "name": "Zoë",
        "price": 19.9,
        "exact": "0.12345678901234567891",
        "tags": ["a", "b"],
        "lines": [{"sku": "x", "raw": "AQ=="}, {"sku": "y", "raw": "Ag=="}],
        "inner": {"id": "kept", "_ts": True},
        SIDECAR: {
            "v": 1,
            "digest": digest(document),
            "version": "17",
            "at": "2026-11-23T12:00:00+00:00",
            "types": {"exact": "N", "tags": "SS", "lines": {"*": {"raw": "B"}}},
        },
    }


def test_an_attribute_that_is_the_id_is_written_once() -> None:
    written = mapped({"id": "c-17", "a": "x"}, ID_RULES)
    assert set(written.body) == {"id", "a", SIDECAR}
    assert sidecar(written.body).restores_id
    escaped = mapped({"id": "c/17", "a": "x"}, ID_RULES)
    assert (escaped.id, escaped.body["id_"], escaped.partition_key) == ("c~2F17", "c/17", "c~2F17")
    assert not sidecar(escaped.body).restores_id


def test_an_id_given_twice_is_a_foreign_change() -> None:
    body = {**mapped({"id": "c-17"}, ID_RULES).body, "id_": "c-17"}
    assert not matches_digest(body)
    with pytest.raises(ValueError, match="twice"):
        from_cosmos(body)


def test_a_document_of_somebody_else_is_read_as_plain_json() -> None:
    body: dict[str, object] = {"id": "x", "id_": "y", "a": 1.0, "b": [None, {"ttl": True}], **SYSTEM}
    assert from_cosmos(body) == {"id": "y", "a": Decimal(1), "b": [None, {"ttl": True}]}
    assert not is_ours(body)
    assert not matches_digest(body)


@given(records("pk", "sk"))
def test_a_tombstone_carries_the_key_alone(record: Document) -> None:
    stone = tombstone(record, RULES, version="18", committed_at=None)
    live = mapped(record)
    assert (stone.id, stone.partition_key) == (live.id, live.partition_key)
    assert from_cosmos(as_served(stone.body)) == {"pk": record["pk"], "sk": record["sk"]}
    assert is_tombstone(stone.body)
    assert matches_digest(stone.body)
    assert sidecar(stone.body).held
    assert "ttl" not in stone.body
    assert is_ours(live.body)
    assert not is_tombstone(live.body)


@pytest.mark.parametrize(
    ("seconds", "ttl"),
    [(0.2, 1), (1, 1), (1.001, 2), (86_400, 86_400), (0, 1), (-100, 1), (2**31 - 1, 2**31 - 1), (2**32, 2**31 - 1)],
)
def test_an_expiry_becomes_seconds_from_now(seconds: float, ttl: int) -> None:
    body = mapped({"pk": "p", "sk": "s"}, expires_at=NOW + timedelta(seconds=seconds)).body
    assert body["ttl"] == ttl
    assert not sidecar(body).held


def test_an_expiry_held_off_is_noted_and_not_set() -> None:
    expires_at = NOW + timedelta(hours=1)
    body = mapped({"pk": "p", "sk": "s", "ttl": Decimal(5)}, expires_at=expires_at, hold_expiry=True).body
    assert "ttl" not in body
    assert body["ttl_"] == 5
    assert sidecar(body).held
    assert sidecar(body).expires_at == expires_at


def test_without_an_expiry_nothing_is_held_off() -> None:
    body = mapped({"pk": "p", "sk": "s"}, hold_expiry=True).body
    assert "ttl" not in body
    assert not sidecar(body).held


@pytest.mark.parametrize("filler", ["x", "é", "\x01", "漢"])
def test_a_document_is_refused_exactly_above_the_limit(filler: str) -> None:
    def sized(characters: int) -> Document:
        return {"pk": "p", "sk": "s", "a": filler * characters}

    sent = _request_body_from_data(mapped(sized(0)).body)  # type: ignore[no-untyped-call]
    empty_bytes = len(sent)
    fitting = (MAX_DOCUMENT_BYTES - empty_bytes) // len(json.dumps(filler)[1:-1])
    mapped(sized(fitting))
    with pytest.raises(DocumentRefusedError) as caught:
        mapped(sized(fitting + 1))
    assert caught.value.reason == "document_too_large"


@given(values)
def test_the_quick_bound_never_lets_a_large_document_pass(value: Value) -> None:
    body = mapped({"pk": "p", "sk": "s", "a": value}).body
    assert len(json.dumps(body, separators=(",", ":"))) <= mapping._json_bound_bytes(body)


@pytest.mark.parametrize(("value", "fits"), [("é" * 1024, True), ("é" * 1024 + "x", False), (b"x" * 1537, False)])
def test_a_partition_key_value_is_refused_above_the_limit(value: Value, *, fits: bool) -> None:
    document: Document = {"pk": value, "sk": "s"}
    if fits:
        assert mapped(document).partition_key == value
        return
    with pytest.raises(DocumentRefusedError) as caught:
        mapped(document)
    assert caught.value.reason == "partition_key_too_large"


@pytest.mark.parametrize("document", [{"pk": "p"}, {"sk": "s"}, {"pk": "p", "sk": True}, {"pk": None, "sk": "s"}])
def test_a_record_without_its_key_is_refused(document: Document) -> None:
    with pytest.raises(ValueError, match=r"the key attribute [ps]k"):
        mapped(document)
    with pytest.raises(ValueError, match=r"the key attribute [ps]k"):
        tombstone(document, RULES, version="1", committed_at=None)
