"""JSON goes in and comes out as the service would keep it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cosmos import wire
from sandbox.cosmos.errors import CosmosError


@given(st.integers())
def test_integers_come_back_as_doubles_would(number: int) -> None:
    try:
        expected = float(number)
    except OverflowError:
        return
    assert json.loads(wire.encode(wire.parse(str(number)))) == (number if abs(number) <= 2**53 else expected)


def test_long_integers_and_decimals_visibly_lose_digits() -> None:
    kept = wire.parse_object(b'{"a": 9007199254740993, "b": 1.23456789012345678901234567890, "c": 9007199254740991}')
    assert kept == {"a": 9007199254740992.0, "b": 1.2345678901234568, "c": 9007199254740991}


@pytest.mark.parametrize(
    "body",
    [b"NaN", b"[Infinity]", b'{"a":', b"\xff", b"", b"[" * 100_000],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(CosmosError) as refused:
        wire.parse(body)
    assert refused.value.status == 400


@pytest.mark.parametrize("body", [b"1e400", b'"\\ud800"', b"[" * 129 + b"]" * 129])
def test_what_has_no_stored_form_is_refused(body: bytes) -> None:
    with pytest.raises(CosmosError) as refused:
        wire.encode(wire.parse(body))
    assert refused.value.status == 400


def test_128_levels_are_allowed_however_many_brackets_there_are() -> None:
    wire.encode(wire.parse(b"[" * 128 + b"]" * 128))
    wire.encode(wire.parse(b"[" + b",".join([b"[]"] * 500) + b"]"))
