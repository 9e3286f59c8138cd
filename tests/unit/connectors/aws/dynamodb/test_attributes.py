"""Promises of reading and writing DynamoDB's typed JSON."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given

from connectors.aws.dynamodb.attributes import read_item, write_item
from replicator.documents import Document, digest
from strategies import documents


@given(documents)
def test_a_document_survives_the_wire(document: Document) -> None:
    assert read_item(write_item(document)) == document


@given(documents)
def test_a_document_has_one_wire_form(document: Document) -> None:
    reordered = dict(reversed(document.items()))
    assert write_item(reordered) == write_item(document)
    assert digest(read_item(write_item(document))) == digest(document)


def test_every_type_is_read() -> None:
    wire: dict[str, dict[str, object]] = {
        "s": {"S": ""},
        "n": {"N": "-12.50"},
        "b": {"B": b"\x00"},
        "t": {"BOOL": False},
        "z": {"NULL": True},
        "m": {"M": {"x": {"L": [{"S": "a"}, {"M": {}}]}}},
        "ss": {"SS": ["b", "a"]},
        "ns": {"NS": ["1", "2"]},
        "bs": {"BS": [b"", b"x"]},
    }
    assert read_item(wire) == {
        "s": "",
        "n": Decimal("-12.5"),
        "b": b"\x00",
        "t": False,
        "z": None,
        "m": {"x": ["a", {}]},
        "ss": frozenset({"a", "b"}),
        "ns": frozenset({Decimal(1), Decimal(2)}),
        "bs": frozenset({b"", b"x"}),
    }


def test_numbers_are_not_rounded_whatever_the_context() -> None:
    number = "-1.2345678901234567890123456789012345678E-93"
    with localcontext() as context:
        context.prec = 3
        assert read_item({"n": {"N": number}})["n"] == Decimal(number)
        assert read_item(write_item({"n": Decimal(number)}))["n"] == Decimal(number)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"S": 1}, "a"),
        ({"S": None}, "a"),
        ({"N": "secret"}, "a"),
        ({"N": "NaN"}, "a"),
        ({"N": "Infinity"}, "a"),
        ({"N": 1}, "a"),
        ({"B": "secret"}, "a"),
        ({"BOOL": "secret"}, "a"),
        ({"NULL": False}, "a"),
        ({"SS": []}, "a"),
        ({"SS": "secret"}, "a"),
        ({"NS": ["1", "secret"]}, "a"),
        ({"BS": ["secret"]}, "a"),
        ({"X": "secret"}, "a"),
        ({"M": ["secret"]}, "a"),
        ({"L": {"x": "secret"}}, "a"),
        ({}, "a"),
        ({"S": "secret", "N": "1"}, "a"),
        ("secret", "a"),
        ({"M": {"b": {"L": [{"S": ""}, {"N": "secret"}]}}}, "a.b.1"),
        ({"L": [{"M": {"b": "secret"}}]}, "a.0.b"),
    ],
)
def test_what_is_malformed_is_named_by_its_path_and_never_by_its_value(value: dict[str, object], path: str) -> None:
    with pytest.raises(ValueError, match=rf"^{path}: ") as caught:
        read_item({"fine": {"S": "x"}, "a": value})
    assert "secret" not in str(caught.value)


def test_an_item_that_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the item: "):
        read_item([])  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [frozenset(), Decimal("NaN"), frozenset({Decimal("Infinity")}), [Decimal("sNaN")]])
def test_what_dynamodb_cannot_hold_is_not_written(value: frozenset[str] | Decimal) -> None:
    with pytest.raises(ValueError, match=r"^a: "):
        write_item({"a": value})
