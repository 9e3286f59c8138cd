"""The Cosmos DB `id` of a record, made of key attributes and readable back into them.

Cosmos forbids `/ \\ ? #` in ids, the SDK also tabs, line ends and a trailing space; its HTTP client resolves `.` and
`..` as steps of a path, so that deleting the document `..` would address the container. What is forbidden, unsafe in a
URL or ours is written as `~` and two hexadecimal digits for each byte of UTF-8, never as `%`, which servers decode;
everything else stays as it is. Parts are joined by `|`.
"""

import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from replicator.documents import number_text

KeyPart: TypeAlias = str | Decimal | bytes
"""The value of one key attribute."""

MAX_ID_BYTES = 1023
"""The longest id that Cosmos takes, in bytes of UTF-8."""

SEPARATOR = "|"

DIGEST_MARK = "~~"
"""Stands before the digest of an id that would be too long; no escape holds two escape characters in a row."""

DIGEST_PREFIX_CHARACTERS = 64
"""How much of an id that is too long stays readable."""

_UNSAFE = re.compile(r"[/\\?#%~|\x00-\x1f\x7f-\x9f]|\A\s|\s\Z|\A\.\.?\Z")
_ESCAPES = re.compile(r"(?:~[0-9A-F]{2})+")


def encode_id(parts: Sequence[KeyPart]) -> str:
    """The id of a record: legal for Cosmos, and for parts of the same kinds different whenever the parts are.

    An id of more than MAX_ID_BYTES is cut to its beginning, DIGEST_MARK and the SHA-256 of the whole; such an id cannot
    be decoded. Raises ValueError for what a key attribute never is: empty, infinite or NaN.
    """
    encoded = SEPARATOR.join([_encode(part) for part in parts])
    if len(encoded) * 4 > MAX_ID_BYTES and len(encoded.encode()) > MAX_ID_BYTES:
        digest = hashlib.sha256(encoded.encode()).hexdigest()
        return f"{encoded[:DIGEST_PREFIX_CHARACTERS]}{DIGEST_MARK}{digest}"
    return encoded


def decode_id(encoded: str, kinds: Sequence[type[KeyPart]]) -> list[KeyPart]:
    """The parts of an id, given the kind of each. Raises ValueError for the digest form and for what is no such id."""
    if DIGEST_MARK in encoded:
        raise ValueError("the id holds a digest instead of the key: it was too long")
    texts = encoded.split(SEPARATOR)
    if len(texts) != len(kinds):
        raise ValueError(f"the id has {len(texts)} parts instead of {len(kinds)}")
    parts = [_decode(text, kind) for text, kind in zip(texts, kinds, strict=True)]
    if encode_id(parts) != encoded:
        raise ValueError("the id is not one that a key is encoded to")
    return parts


def _encode(part: KeyPart) -> str:
    if isinstance(part, str):
        text = part
    elif isinstance(part, Decimal):
        if not part.is_finite():
            raise ValueError("a part of the id is not a finite number")
        text = number_text(part)
    else:
        text = urlsafe_b64encode(part).decode().rstrip("=")
    if not text:
        raise ValueError("a part of the id is empty")
    return _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return "".join(f"~{byte:02X}" for byte in found[0].encode())


def _decode(text: str, kind: type[KeyPart]) -> KeyPart:
    plain = _ESCAPES.sub(_unescape, text)
    if kind is str:
        return plain
    if kind is bytes:
        return urlsafe_b64decode(plain + "=" * (-len(plain) % 4))
    try:
        return Decimal(plain)
    except InvalidOperation:
        raise ValueError("a part of the id is not a number") from None


def _unescape(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("~", "")).decode()
