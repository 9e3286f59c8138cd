"""Which texts are those of keys that an item of a table may have. Pure."""

from collections.abc import Mapping
from decimal import Decimal

from replicator.documents import Value, key_text, parse_key

MOST_HASH_BYTES = 2048

MOST_RANGE_BYTES = 1024

MOST_DIGITS = 38

MAGNITUDES = range(-130, 126)
"""Powers of ten of a number's first digit."""


def is_key(text: str, names: tuple[str, ...], kinds: Mapping[str, str]) -> bool:
    """Whether this is the canonical text of a key made of these attributes, the hash key first, of these types.

    DynamoDB refuses to look up any other.
    """
    try:
        key = parse_key(text)
        if key.keys() != set(names) or key_text(key) != text:
            return False
        limits = zip(names, (MOST_HASH_BYTES, MOST_RANGE_BYTES), strict=False)
        return all(_may_be(key[name], kinds[name], most_bytes) for name, most_bytes in limits)
    except (ValueError, RecursionError):  # no key at all, half a character, or nested without end
        return False


def _may_be(value: Value, kind: str, most_bytes: int) -> bool:
    match kind, value:
        case "S", str():
            return 1 <= len(value.encode()) <= most_bytes
        case "B", bytes():
            return 1 <= len(value) <= most_bytes
        case "N", Decimal():
            return not value or (len(value.as_tuple().digits) <= MOST_DIGITS and value.adjusted() in MAGNITUDES)
    return False
