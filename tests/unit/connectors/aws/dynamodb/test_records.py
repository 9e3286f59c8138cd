"""Items and stream records as changes, and when they expire."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given

from connectors.aws.dynamodb.attributes import write_item
from connectors.aws.dynamodb.records import (
    EXPIRY_HORIZON,
    LAST_INSTANT_S,
    TableShape,
    committed_at,
    expiry,
    missing_change,
    row_change,
    stream_change,
    wire_key,
)
from replicator.documents import Document, Value, key_text
from replicator.model import Operation
from strategies import numbers, records, values

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
SHAPE = TableShape(("customer", "order"), "expires")
KEY: Document = {"customer": "c", "order": Decimal(7)}


def record(name: str, image: Document | None = None) -> dict[str, object]:
    """A stream record."""
    data: dict[str, object] = {
        "Keys": write_item(KEY),
        "SequenceNumber": "0099",
        "ApproximateCreationDateTime": NOW.astimezone(timezone(timedelta(hours=5))),
        "OldImage": write_item({**KEY, "old": "value"}),
    }
    if image is not None:
        data["NewImage"] = write_item(image)
    return {"eventName": name, "dynamodb": data}


@pytest.mark.parametrize("name", ["INSERT", "MODIFY"])
def test_an_upsert_carries_the_new_image(name: str) -> None:
    image: Document = {**KEY, "expires": Decimal(1_900_000_000), "n": Decimal("1.50")}
    change = stream_change(record(name, image), SHAPE, NOW)
    assert (change.key, change.operation, change.record) == (key_text(KEY), Operation.UPSERT, image)
    assert (change.version, change.committed_at) == ("0099", NOW)
    assert change.expires_at == datetime.fromtimestamp(1_900_000_000, UTC)


def test_a_delete_carries_its_keys_only() -> None:
    change = stream_change(record("REMOVE"), SHAPE, NOW)
    assert (change.key, change.operation, change.record) == (key_text(KEY), Operation.DELETE, KEY)
    assert change.expires_at is None
    assert change.version == "0099"


def test_an_expiry_by_the_service_is_a_delete_that_nobody_wrote() -> None:
    by_service = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    expired = stream_change({**record("REMOVE"), "userIdentity": by_service}, SHAPE, NOW)
    plain = stream_change(record("REMOVE"), SHAPE, NOW)
    assert plain.written_at == plain.committed_at is not None
    assert expired == replace(plain, written_at=None)


def test_commit_times_are_utc() -> None:
    assert committed_at(record("REMOVE")).tzinfo is UTC


@given(records("customer", "order"))
def test_a_row_and_a_stream_record_of_one_item_agree(document: Document) -> None:
    row = row_change(write_item(document), SHAPE, NOW)
    wire = record("MODIFY", document)
    wire["dynamodb"]["Keys"] = write_item(SHAPE.key_of(document))  # type: ignore[index]  # a dict by construction
    streamed = stream_change(wire, SHAPE, NOW)
    assert (row.key, row.record, row.expires_at) == (streamed.key, streamed.record, streamed.expires_at)
    assert (row.version, row.committed_at) == ("", None)
    assert wire_key(row.key) == write_item(SHAPE.key_of(document))


def test_a_missing_item_is_a_delete_of_its_key() -> None:
    change = missing_change(key_text(KEY))
    assert (change.key, change.operation, change.record) == (key_text(KEY), Operation.DELETE, KEY)


class TestExpiry:
    """The rules of the service: only numbers, never after five years."""

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (Decimal(1_900_000_000), datetime.fromtimestamp(1_900_000_000, UTC)),
            (Decimal("1900000000.5"), datetime.fromtimestamp(1_900_000_000.5, UTC)),
            (Decimal("1.9E+9"), datetime.fromtimestamp(1_900_000_000, UTC)),
            (Decimal(LAST_INSTANT_S), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
            (Decimal(LAST_INSTANT_S + 1), None),
            (Decimal("9.99E+125"), None),
            (Decimal("1E-130"), None),
            (Decimal(0), None),
            (Decimal(-1), None),
            ("1900000000", None),
            (b"1900000000", None),
            (True, None),
            (None, None),
            ([Decimal(1_900_000_000)], None),
            (frozenset([Decimal(1_900_000_000)]), None),
            (Decimal(1_900_000_000_000), None),
        ],
    )
    def test_what_counts(self, value: Value, expected: datetime | None) -> None:
        assert expiry({"expires": value}, SHAPE, NOW) == expected

    def test_the_past_counts_for_five_years(self) -> None:
        oldest = NOW - EXPIRY_HORIZON
        assert expiry({"expires": Decimal(int(oldest.timestamp()))}, SHAPE, NOW) == oldest
        assert expiry({"expires": Decimal(int(oldest.timestamp()) - 1)}, SHAPE, NOW) is None

    def test_without_the_attribute_or_the_setting_nothing_expires(self) -> None:
        assert expiry({}, SHAPE, NOW) is None
        assert expiry({"expires": Decimal(1_900_000_000)}, TableShape(("id",)), NOW) is None

    @given(values | numbers)
    def test_no_value_is_too_strange(self, value: Value) -> None:
        moment = expiry({"expires": value}, SHAPE, NOW)
        assert moment is None or moment >= NOW - EXPIRY_HORIZON
