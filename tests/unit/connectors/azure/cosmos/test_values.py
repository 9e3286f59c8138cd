"""Promises of single values as JSON."""

import json
from decimal import Decimal

import pytest
from hypothesis import given

from connectors.azure.cosmos.values import Json, Kinds, decode, encode, encode_number
from replicator.documents import Value
from strategies import numbers, values


@given(values)
def test_a_value_survives_json(value: Value) -> None:
    written, kinds = json.loads(json.dumps(encode(value), allow_nan=False))
    assert decode(written, kinds) == value


@given(numbers)
def test_a_number_is_written_as_one_exactly_when_it_survives_as_a_double(number: Decimal) -> None:
    survives = Decimal(repr(float(number))) == number
    written = encode_number(number)
    assert (written is not None) == survives
    if written is not None:
        assert isinstance(written, int) == (number == int(number) and abs(number) < 2**53)
        assert Decimal(repr(written)) == number


@pytest.mark.parametrize(
    ("value", "written", "kinds"),
    [
        (Decimal("1.0"), 1, None),
        (Decimal("-0"), 0, None),
        (Decimal("-0.00"), 0, None),
        (Decimal("12.50"), 12.5, None),
        (Decimal("1E+22"), 1e22, None),
        (Decimal(2**53 - 1), 2**53 - 1, None),
        (Decimal(2**53), float(2**53), None),
        (Decimal(2**53 + 1), "9007199254740993", "N"),
        (Decimal("0.12345678901234567891"), "0.12345678901234567891", "N"),
        (Decimal("1E+400"), "1E400", "N"),
        (b"\xff", "/w==", "B"),
        (frozenset({"b", "a"}), ["a", "b"], "SS"),
        (frozenset({Decimal(10), Decimal(9)}), [9, 10], "NS"),
        (frozenset({Decimal(10), Decimal(2**53 + 1)}), ["10", "9007199254740993"], "NS"),
        (frozenset({b"\xff", b""}), ["", "/w=="], "BS"),
        ([b"", b"x"], ["", "eA=="], {"*": "B"}),
        ([b"", "x"], ["", "x"], {"0": "B"}),
        (["x", {"a": b""}], ["x", {"a": ""}], {"1": {"a": "B"}}),
        ([{"a": b""}, {"a": b"", "b": None}], [{"a": ""}, {"a": "", "b": None}], {"*": {"a": "B"}}),
        ({"*": b"", "0": ["x"]}, {"*": "", "0": ["x"]}, {"*": "B"}),
        ([], [], None),
    ],
)
def test_values_read_naturally(value: Value, written: Json, kinds: Kinds) -> None:
    encoded = encode(value)
    assert encoded == (written, kinds)
    assert json.dumps(encoded) == json.dumps((written, kinds)), "1, 1.0 and true are not the same JSON"
    assert decode(*encoded) == value


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("-Infinity"), [Decimal("sNaN")], frozenset()])
def test_what_no_document_holds_is_refused(value: Value) -> None:
    with pytest.raises(ValueError, match=r"number|set"):
        encode(value)


@pytest.mark.parametrize(
    ("written", "kinds"),
    [
        (1, "N"),
        ("secret", "N"),
        ("NaN", "N"),
        ("secret!", "B"),
        ("c2Vj\ncmV0", "B"),
        (None, "B"),
        ("secret", "SS"),
        ([], "SS"),
        (["a", "a"], "SS"),
        ([1], "SS"),
        (["1", 1], "NS"),
        ([True], "NS"),
        (["secret"], "NS"),
        ("secret", "X"),
        ("secret", {"a": "B"}),
        ("secret", ["B"]),
        (["secret"], {"*": {"a": "B"}}),
        (float("nan"), None),
        (10**400, None),
        ({"a": object()}, None),
    ],
)
def test_what_does_not_fit_its_marks_is_refused_without_naming_it(written: object, kinds: object) -> None:
    with pytest.raises(ValueError, match=r"a (value|number|set) ") as caught:
        decode(written, kinds)
    assert "secret" not in str(caught.value)


def test_marks_stay_in_proportion_to_the_value() -> None:
    """However deep, the path to an element is written once: positions in lists, never whole paths."""
    value: Value = [b"" if n % 2 else "" for n in range(1000)]
    for _ in range(30):
        value = {"a name of some length": [value, ""]}
    written, kinds = encode(value)
    assert len(json.dumps(kinds)) < 4 * len(json.dumps(written))
