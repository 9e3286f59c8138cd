"""Partition keys lie where the SDK believes they lie."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from azure.cosmos.partition_key import PartitionKey as SdkKey
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cosmos import keys
from sandbox.cosmos.errors import CosmosError

if TYPE_CHECKING:
    from sandbox.cosmos.wire import Json

VALUES = st.one_of(
    st.text(max_size=80),
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0),  # no -0.0: it is 0 here
    st.just({}),
)


@given(VALUES)
def test_hash_of_one_level_is_the_sdks(value: Json) -> None:
    ours = keys.make([value]).epk
    assert ours == SdkKey("/pk")._get_effective_partition_key_string([value])  # type: ignore[list-item]


@given(st.lists(VALUES, min_size=1, max_size=3))
def test_hash_of_a_hierarchical_key_or_its_prefix_is_the_sdks(values: list[Json]) -> None:
    ours = keys.make(values).epk
    assert ours == SdkKey(["/a", "/b", "/c"])._get_effective_partition_key_string(values)  # type: ignore[arg-type]


@given(st.text(max_size=40), st.text(max_size=40))
def test_keys_below_a_prefix_lie_within_its_range(first: str, second: str) -> None:
    low = keys.make([first]).epk
    assert low <= keys.make([first, second]).epk < low + "FF"


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_boundaries_cut_the_hash_space_into_rising_parts(count: int) -> None:
    bounds = keys.boundaries(count)
    assert len(bounds) == count
    assert bounds[0] == ""
    assert all(low < high for low, high in pairwise([*bounds, "40"]))


def test_equal_numbers_are_one_key_and_true_is_not_one() -> None:
    assert keys.make([1]).text == keys.make([1.0]).text
    assert keys.make([1]).text != keys.make([True]).text


@pytest.mark.parametrize("values", [[["a"]], [{"a": 1}], ["x" * 2_049]])
def test_what_cannot_be_a_partition_key_is_refused(values: list[Json]) -> None:
    with pytest.raises(CosmosError, match=r"artition key value") as refused:
        keys.make(values)
    assert refused.value.status == 400


def test_a_value_of_2048_bytes_is_taken() -> None:
    assert keys.make(["é" * 1_024]).epk


@pytest.mark.parametrize(
    ("path", "names"),
    [("/a", ("a",)), ("/a/b", ("a", "b")), ('/"a/b"/c', ("a/b", "c")), ("/'x y'", ("x y",))],
)
def test_paths_are_split_at_unquoted_slashes(path: str, names: tuple[str, ...]) -> None:
    assert keys.split_path(path) == names


@pytest.mark.parametrize("path", ["", "a", "/", "/a//b", 7])
def test_what_is_no_path_is_refused(path: Json) -> None:
    with pytest.raises(CosmosError, match="not valid"):
        keys.split_path(path)


@pytest.mark.parametrize(
    "definition",
    [
        None,
        {"paths": []},
        {"paths": ["/a", "/b"], "kind": "Hash"},
        {"paths": ["/a", "/b", "/c", "/d"], "kind": "MultiHash"},
        {"paths": ["/a"], "kind": "Range"},
        {"paths": ["/a"], "version": 1},
    ],
)
def test_definitions_the_service_or_the_sandbox_lacks_are_refused(definition: Json) -> None:
    with pytest.raises(CosmosError) as refused:
        keys.define(definition)
    assert refused.value.status == 400


def test_a_missing_property_counts_as_no_value() -> None:
    definition = keys.define({"paths": ["/a/b", "/c"], "kind": "MultiHash"})
    assert definition.extract({"a": {"b": 1}}) == [1, keys.MISSING]
    assert definition.extract({"a": 5, "c": None}) == [keys.MISSING, None]
