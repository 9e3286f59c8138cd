"""Items that are legal in DynamoDB and hard on whoever copies them: names, keys, numbers, depth, size."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.workload.calls import Attribute, Item

LARGE_BYTES = 100_000
DEPTH = 30
FAR_FUTURE_S = 2_840_140_800  # 2060-01-01: an expiry that no demo will live to see

KEY_TEXTS = (
    "/", "\\", "?", "#", "a/b\\c?d#e", "100%", "%2F", "%25", "~", "|", "a b", "a+b", "a&b=c", ":", "@", "-", "_",
    "trailing ", " leading", " ", ".", "..", "../..", "'", '"', "'quoted\"", "`", "$", "{}", "[0]", "<>", "*",
    "\x00", "\x01\x1f\x7f", "line\nbreak\r\n\ttab", "\u0085", "\u2028\u2029", "\ufeff", "\u200b",
    "😀", "👩‍👩‍👧", "\U0010ffff", "ü", "u\u0308", "İ", "ß", "日本", "עברית",
    "id", "null", "undefined", "true", "0", "00", "-1", "1e3", "NaN",
)  # fmt: skip

# Pairs that a naive join of hash and sort key would confuse with each other.
COLLIDING_KEYS = tuple(
    pair
    for separator in "|#/~:_-. "
    for pair in ((f"join{separator}a", "b"), ("join", f"a{separator}b"), (f"join{separator}a{separator}b", "b"))
)

LONG_KEYS = {
    "longest hash key": ("h" * 2048, "1"),
    "longest hash key in emoji": ("😀" * 512, "1"),
    "longest sort key": ("long", "s" * 1024),
    "longest sort key in emoji": ("long", "😀" * 256),
    "sort key of 1023 bytes": ("long", "t" * 1023),
    "longest keys, all to be escaped": ("/" * 2048, "?" * 1024),
}

ATTRIBUTE_NAMES = (
    "id", "ttl", "id_", "_id", "_ts", "_etag", "_self", "_rid", "_attachments", "_lsn", "__proto__", "ID", "Id",
    "a.b", "a/b", "a b", " ", "a\\b", "😀", "'", '"', "`", "1st", "$", "$type", "#", "#name", ":value", "%41", "",
    "a[0]", "a\nb", "\x01", "null", "S", "N", "L", "M", "x" * 255,
)  # fmt: skip

NUMBERS = {
    "digits_38": "12345678901234567890123456789012345678",
    "digits_38_negative": "-12345678901234567890123456789012345678",
    "digits_38_fraction": "0.12345678901234567890123456789012345678",
    "digits_38_mixed": "1234567890123456789.0123456789012345678",
    "smallest": "1E-130",
    "smallest_negative": "-1E-130",
    "large": "9.99E+125",
    "largest": "9.9999999999999999999999999999999999999E+125",
    "largest_negative": "-9.9999999999999999999999999999999999999E+125",
    "beyond_double": "9007199254740993",
    "beyond_double_negative": "-9007199254740993",
    "last_exact": "9007199254740991",
    "int64": "9223372036854775807",
    "uint64_plus": "18446744073709551617",
    "tenth": "0.1",
    "third": "0.33333333333333333333333333333333333333",
    "zero": "0",
    "minus_one": "-1",
    "trailing_zeros": "1.5000",
    "denormal": "4.9E-126",
}

EVERY_TYPE: Item = {
    "text": {"S": "plain"},
    "number": {"N": "42"},
    "binary": {"B": b"\x00\xff"},
    "yes": {"BOOL": True},
    "no": {"BOOL": False},
    "nothing": {"NULL": True},
    "list": {"L": [{"S": "a"}, {"N": "1"}, {"BOOL": False}, {"NULL": True}, {"B": b"b"}, {"SS": ["s"]}]},
    "map": {"M": {"inner": {"S": "x"}, "set": {"NS": ["1"]}, "bytes": {"BS": [b"b"]}}},
    "texts": {"SS": ["b", "a", "c"]},
    "numbers": {"NS": ["3", "1", "2"]},
    "binaries": {"BS": [b"\x02", b"\x01"]},
}

VALUES: dict[str, Item] = {
    "every type": EVERY_TYPE,
    "empty values": {
        "text": {"S": ""},
        "binary": {"B": b""},
        "list": {"L": []},
        "map": {"M": {}},
        "inside": {"L": [{"S": ""}, {"B": b""}, {"L": []}, {"M": {}}, {"M": {"": {"S": ""}}}]},
    },
    "numbers": {name: {"N": number} for name, number in NUMBERS.items()},
    "number sets": {"ns": {"NS": sorted(set(NUMBERS.values()))}, "one": {"NS": [NUMBERS["digits_38"]]}},
    "single sets": {"ss": {"SS": ["one"]}, "ns": {"NS": ["1"]}, "bs": {"BS": [b"one"]}},
    "sets with awkward members": {"ss": {"SS": [*KEY_TEXTS, ""]}, "bs": {"BS": [b"", b"\x00", bytes(256)]}},
    "all bytes": {"binary": {"B": bytes(range(256))}, "set": {"BS": [bytes([n]) for n in range(256)]}},
    "texts": {str(n): {"S": text} for n, text in enumerate(KEY_TEXTS)},
    "texts that look like something else": {
        "json": {"S": '{"S": "x"}'},
        "number": {"S": "1E400"},
        "date": {"S": "2026-02-30T25:61:61Z"},
        "tagged": {"M": {"S": {"S": "x"}}},
        "typed": {"M": {"$type": {"S": "B"}, "value": {"S": "AA=="}}},
        "binary": {"S": "AAEC"},
    },
    "expires": {"expires_at": {"N": str(FAR_FUTURE_S)}},
    "expiry of another type": {"expires_at": {"S": "never"}},
    "large text": {"text": {"S": "ä" * (LARGE_BYTES // 2)}},
    "large binary": {"binary": {"B": bytes(range(256)) * (LARGE_BYTES // 256)}},
    "many attributes": {f"attribute_{n:04d}": {"S": "v" * 80} for n in range(LARGE_BYTES // 95)},
}


def awkward_items() -> Iterator[tuple[str, Item]]:
    """Every awkward item once, with a label that says what is awkward about it. Keys are distinct."""
    for number, (label, attributes) in enumerate(VALUES.items()):
        yield label, _item("awkward", f"value-{number:02d}", attributes)
    for kind in ("L", "M", "LM"):
        yield f"nested {kind}", _item("awkward", f"nested-{kind}", {"deep": nested(kind, DEPTH)})
    named: Item = {name: {"S": name} for name in ATTRIBUTE_NAMES if name}
    yield "attribute names", _item("awkward", "names", named)
    yield "nested attribute names", _item("awkward", "names-inside", {"map": {"M": named}})
    for name, kind in (("ttl", "N"), ("id", "N"), ("_ts", "N")):
        yield f"{name} as a number", _item("awkward", f"number-{name}", {name: {kind: "-1"}})
    for text in KEY_TEXTS:
        yield f"sort key {text!r}", _item("awkward", f"key:{text}", {})
        yield f"bare sort key {text!r}", _item("bare", text, {})
        yield f"hash key {text!r}", _item(text, "1", {})
    for customer, order_id in COLLIDING_KEYS:
        yield f"joined keys {customer!r} {order_id!r}", _item(customer, order_id, {})
    for label, (customer, order_id) in LONG_KEYS.items():
        yield label, _item(customer, order_id, {})


def nested(kind: str, depth: int) -> Attribute:
    """A value inside `depth` levels of lists ("L"), maps ("M") or both by turns ("LM")."""
    value: Attribute = {"S": "bottom"}
    for level in range(depth):
        value = {"L": [value]} if kind[level % len(kind)] == "L" else {"M": {"in": value}}
    return value


def _item(customer: str, order_id: str, attributes: Item) -> Item:
    return {"customer": {"S": customer}, "order_id": {"S": order_id}, "version": {"N": "1"}, **attributes}
