"""What is encoded decodes to the same value of the same type, and other peers' forms are understood."""

from __future__ import annotations

import math
import struct
from uuid import UUID

import pytest
from azure.servicebus._pyamqp import _decode, _encode
from hypothesis import given
from hypothesis import strategies as st

from sandbox.servicebus.amqp.decoding import DecodeError, decode, skip
from sandbox.servicebus.amqp.encoding import encode
from sandbox.servicebus.amqp.types import (
    Array,
    Byte,
    Char,
    Decimal32,
    Decimal64,
    Decimal128,
    Described,
    Float,
    Int,
    Long,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
    Value,
)

INTEGERS: list[tuple[type[int], int, int]] = [
    (UByte, 0, 2**8 - 1),
    (UShort, 0, 2**16 - 1),
    (UInt, 0, 2**32 - 1),
    (ULong, 0, 2**64 - 1),
    (Byte, -(2**7), 2**7 - 1),
    (Short, -(2**15), 2**15 - 1),
    (Int, -(2**31), 2**31 - 1),
    (Long, -(2**63), 2**63 - 1),
    (Timestamp, -(2**63), 2**63 - 1),
    (Char, 0, 0x10FFFF),
]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
primitives: list[st.SearchStrategy[Value]] = [
    st.none(),
    st.booleans(),
    *(st.integers(low, high).map(kind) for kind, low, high in INTEGERS),
    st.floats(width=32).map(Float),
    st.floats(),
    st.binary(min_size=4, max_size=4).map(Decimal32),
    st.binary(min_size=8, max_size=8).map(Decimal64),
    st.binary(min_size=16, max_size=16).map(Decimal128),
    st.uuids(),
    st.binary(max_size=300),
    texts,
    st.text(st.characters(max_codepoint=127), max_size=300).map(Symbol),
]
keys = st.one_of(texts, st.text("abc-:").map(Symbol), st.integers(0, 2**64 - 1).map(ULong))
descriptors = st.integers(0, 2**64 - 1).map(ULong) | st.text("abc:", min_size=1).map(Symbol)


def compounds(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    return st.one_of(
        st.lists(inner, max_size=20),
        st.dictionaries(keys, inner, max_size=10),
        st.builds(Described, descriptors, inner),
    )


arrays = st.one_of([st.lists(primitive, max_size=20).map(Array) for primitive in primitives])
described_arrays = st.builds(
    lambda descriptor, items: Array(Described(descriptor, item) for item in items),
    descriptors,
    st.one_of([st.lists(primitive, min_size=1, max_size=5) for primitive in primitives]),
)
maps: st.SearchStrategy[Value] = st.dictionaries(keys, st.one_of(primitives), max_size=3)
deep_arrays = st.one_of(
    st.lists(st.lists(st.one_of(primitives), max_size=3), max_size=5).map(Array),
    st.lists(maps, max_size=5).map(Array),
    st.lists(arrays, max_size=5).map(Array),
)
values = st.recursive(st.one_of(*primitives, arrays, described_arrays, deep_arrays), compounds, max_leaves=30)


def shape(value: Value) -> object:
    """A value with its types, such that two are equal exactly if nothing was lost; NaN by its bits."""
    if isinstance(value, Described):
        return ("described", shape(value.descriptor), shape(value.value))
    if isinstance(value, list):
        return (type(value), [shape(item) for item in value])
    if isinstance(value, dict):
        return (dict, [(shape(key), shape(item)) for key, item in value.items()])
    if isinstance(value, float):
        return (type(value), struct.pack(">f" if isinstance(value, Float) else ">d", value))
    return (type(value), value)


@given(values)
def test_every_value_keeps_its_type_and_content(value: Value) -> None:
    encoded = encode(value)
    decoded, after = decode(b"\xff" + encoded + b"\xff", 1)
    assert shape(decoded) == shape(value)
    assert after == len(encoded) + 1
    assert skip(b"\xff" + encoded + b"\xff", 1) == after


@given(values, st.data())
def test_truncated_values_are_refused_and_never_misread(value: Value, data: st.DataObject) -> None:
    encoded = encode(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(DecodeError):
        decode(encoded[:cut])


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_read_or_refused_with_the_one_error(data: bytes) -> None:
    try:
        _, after = decode(data)
    except DecodeError:
        return
    assert 0 < after <= len(data)


@pytest.mark.parametrize("value", [0, 7, object(), {1: "x"}, [3]])
def test_a_plain_integer_is_refused_because_its_type_is_unknown(value: Value) -> None:
    with pytest.raises(TypeError, match="AMQP type"):
        encode(value)


@pytest.mark.parametrize("value", [UByte(256), UInt(-1), Int(2**31), Long(2**63), ULong(2**64), Short(-(2**15) - 1)])
def test_numbers_out_of_range_are_refused(value: Value) -> None:
    with pytest.raises(ValueError, match=type(value).__name__):
        encode(value)


@pytest.mark.parametrize("mixed", [Array([Int(1), Long(1)]), Array(["a", Symbol("a")]), Array([None, True])])
def test_an_array_of_several_types_is_refused(mixed: Array) -> None:
    with pytest.raises(TypeError, match="one type"):
        encode(mixed)


def test_deep_nesting_is_refused() -> None:
    nested: Value = []
    for _ in range(100):
        nested = [nested]
    with pytest.raises(DecodeError, match="deeper"):
        decode(encode(nested))


def test_a_list_that_does_not_fill_its_size_is_refused() -> None:
    with pytest.raises(DecodeError, match="do not take"):
        decode(b"\xc0\x03\x01\x41\x41")


def test_a_map_with_a_key_twice_is_refused() -> None:
    with pytest.raises(DecodeError, match="equal keys"):
        decode(b"\xc1\x09\x04\xa1\x01a\x41\xa1\x01a\x42")


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        (b"\x56\x01", True),
        (b"\x56\x00", False),
        (b"\x70\x00\x00\x00\x05", UInt(5)),
        (b"\x80\x00\x00\x00\x00\x00\x00\x00\x05", ULong(5)),
        (b"\x71\xff\xff\xff\xff", Int(-1)),
        (b"\xd0\x00\x00\x00\x04\x00\x00\x00\x00", []),
        (b"\xd1\x00\x00\x00\x04\x00\x00\x00\x00", {}),
        (b"\xb1\x00\x00\x00\x01a", "a"),
        (b"\xe0\x03\x01\x54\x01", Array([Int(1)])),
        (b"\xf0\x00\x00\x00\x05\x00\x00\x00\x02\x43", Array([UInt(0), UInt(0)])),
    ],
)
def test_forms_other_than_the_shortest_are_understood(wire: bytes, value: Value) -> None:
    assert shape(decode(wire)[0]) == shape(value)


scalars = st.one_of(
    st.booleans(),
    st.floats(allow_nan=False),
    st.uuids(),
    st.binary(max_size=300),
    st.integers(-(2**31), 2**31 - 1),
    texts,
)


@given(st.lists(scalars, max_size=10))
def test_what_the_sdk_writes_is_read(written: list[Value]) -> None:
    output = bytearray()
    _encode.encode_value(output, written)
    assert decode(bytes(output))[0] == written


@given(st.lists(st.one_of(st.uuids(), st.binary(max_size=300), st.floats(allow_nan=False)), max_size=10))
def test_what_is_written_the_sdk_reads(written: list[Value]) -> None:
    read = _decode._DECODE_BY_CONSTRUCTOR[encode(written)[0]](memoryview(encode(written))[1:])[1]
    assert read == written


@given(st.lists(st.uuids(), max_size=300))
def test_arrays_of_tokens_pass_between_the_sdk_and_the_server(tokens: list[UUID]) -> None:
    output = bytearray()
    _encode.encode_array(output, tokens)
    assert decode(bytes(output))[0] == tokens
    encoded = encode(Array(tokens))
    assert _decode._DECODE_BY_CONSTRUCTOR[encoded[0]](memoryview(encoded)[1:])[1] == tokens


def test_infinities_and_nan_are_written() -> None:
    assert math.isnan(decode(encode(math.nan))[0])  # type: ignore[arg-type]
    assert decode(encode(Float(math.inf)))[0] == math.inf
