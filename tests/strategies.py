"""What DynamoDB may legally hold, as hypothesis strategies, for every test that maps, carries or compares documents."""

from decimal import Decimal

from hypothesis import strategies as st

from replicator.documents import Document, Value

AWKWARD_NAMES = [
    "id", "id_", "id__", "ID", "ttl", "ttl_", "_rid", "_self", "_etag", "_ts", "_ts_", "_attachments", "_lsn",
    "_replicator", "_replicator_", "_", "*", "0", "1", "v", "digest", "types", "N", "S", "a.b", "a/b", 'a"b', "é", "😀",
    " ", "__proto__", "$type", "\x00",
]  # fmt: skip
"""Names that mean something to Cosmos, to the sidecar, to JSON or to a path."""

DIGITS = 38
"""Significant digits that DynamoDB keeps of a number; its size goes from 1E-130 to 9.99E+125."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
"""Any text but lone surrogates, which UTF-8 cannot carry; empty too."""

names = st.sampled_from(AWKWARD_NAMES) | texts.filter(bool)
binaries = st.binary(max_size=12)


def _number(significand: int, size: int, *, negative: bool) -> Decimal:
    digits = str(significand)
    return Decimal(f"{'-' if negative else ''}{digits[0]}.{digits[1:]}E{size}")


wide_numbers = st.builds(
    _number,
    st.integers(1, 10**17) | st.integers(1, 10**DIGITS - 1),
    st.integers(-130, 125),
    negative=st.booleans(),
)
awkward_numbers = st.sampled_from(
    [
        "0", "-0", "0.1", "1.0", "1E+1", "1e22", "1e23", "1E-130", "9.99E+125", "-9.99E+125", "0.30000000000000004",
        "9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740993", "1180591620717411303424",
        "123456789012345678", "99999999999999999999999999999999999999", "0.12345678901234567",
    ]
).map(Decimal)  # fmt: skip
numbers = st.one_of(
    st.integers(-(10**6), 10**6).map(Decimal), st.decimals(-9999, 9999, places=2), awkward_numbers, wide_numbers
)
"""Whole numbers and cents, of which most data consists, and every number that is legal."""

scalars: st.SearchStrategy[Value] = st.one_of(texts, numbers, binaries, st.booleans(), st.none())
sets: st.SearchStrategy[Value] = st.one_of(
    st.frozensets(texts, min_size=1, max_size=4),
    st.frozensets(numbers, min_size=1, max_size=4),
    st.frozensets(binaries, min_size=1, max_size=4),
)
values: st.SearchStrategy[Value] = st.recursive(
    scalars | sets,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=8,
)
"""Any attribute that is no part of a key."""

documents: st.SearchStrategy[Document] = st.dictionaries(names, values, max_size=5)

key_texts = texts.filter(bool)
key_parts: st.SearchStrategy[str | Decimal | bytes] = st.one_of(key_texts, numbers, st.binary(min_size=1, max_size=12))
"""The value of a key attribute: never empty."""


def records(*key_names: str) -> st.SearchStrategy[Document]:
    """Documents that hold these key attributes."""
    keys = st.fixed_dictionaries(dict.fromkeys(key_names, key_parts))
    return st.builds(lambda document, key: {**document, **key}, documents, keys)
