"""User metadata and tags in the smaller alphabets of Blob Storage, readable back exactly. Pure functions.

A metadata name must be a C# identifier, compared without regard to case; a value printable ASCII without white space
around it; a tag's name and value ASCII letters, digits, spaces and `+ - . / : = _`. What is fine as it is stays as it
is, so that an application finds `owner` where it looks for it; the rest is written as escapes of two hexadecimal digits
for each byte of UTF-8: `_2d` in names, `%2D` in values, `=40` in tags.
"""

import re
from collections.abc import Callable, Mapping

RESERVED = "replicator_"
"""What the names of our own metadata begin with; no name of a user's is encoded to one that does."""

MOST_METADATA_BYTES = 8192
"""What the service takes of names and values together."""

MOST_TAGS = 10
MOST_TAG_NAME = 128
MOST_TAG_VALUE = 256
"""Numbers of characters."""

_IN_NAME = re.compile(r"[^a-z0-9_]|_(?=[0-9a-f]{2})|\A[0-9]|\A_\Z")  # Azurite lists the name _ as something else
_IN_VALUE = re.compile(r"[^\x20-\x7e]|%(?=[0-9A-F]{2})|\A | \Z")
_IN_TAG = re.compile(r"[^A-Za-z0-9 +\-./:=_]|=(?=[0-9A-F]{2})|\A | \Z")
_NAME_ESCAPES = re.compile(r"(?:_[0-9a-f]{2})+")
_VALUE_ESCAPES = re.compile(r"(?:%[0-9A-F]{2})+")
_TAG_ESCAPES = re.compile(r"(?:=[0-9A-F]{2})+")


def encode_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """As it is written to the blob. Raises ValueError for what cannot be."""
    return {encode_name(name): encode_value(value) for name, value in metadata.items()}


def decode_metadata(encoded: Mapping[str, str]) -> dict[str, str]:
    """What was encoded, our own entries left out. Raises ValueError for what is no such encoding."""
    return {decode_name(name): decode_value(value) for name, value in encoded.items() if not name.startswith(RESERVED)}


def encode_name(name: str) -> str:
    """An identifier in lower case. Raises ValueError for an empty name."""
    if not name:
        raise ValueError("a metadata entry has no name")
    encoded = _IN_NAME.sub(_escape("_", "{:02x}"), name)
    if encoded.startswith(RESERVED):
        return f"_{ord(encoded[0]):02x}{encoded[1:]}"
    return encoded


def decode_name(encoded: str) -> str:
    """The name that was encoded. Raises ValueError for bytes that are no UTF-8."""
    return _NAME_ESCAPES.sub(_unescape("_"), encoded)


def encode_value(value: str) -> str:
    """Printable ASCII with no space around it."""
    return _IN_VALUE.sub(_escape("%", "{:02X}"), value)


def decode_value(encoded: str) -> str:
    """The value that was encoded. Raises ValueError for bytes that are no UTF-8."""
    return _VALUE_ESCAPES.sub(_unescape("%"), encoded)


def encode_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """As index tags. Raises ValueError for more, or longer ones, than the service takes."""
    if len(tags) > MOST_TAGS:
        raise ValueError(f"the object has {len(tags)} tags, a blob at most {MOST_TAGS}")
    encoded = {_encode_tag(name): _encode_tag(value) for name, value in tags.items()}
    for name, value in encoded.items():
        if not name or len(name) > MOST_TAG_NAME or len(value) > MOST_TAG_VALUE:
            raise ValueError(
                f"a tag is longer than {MOST_TAG_NAME} characters in its name or {MOST_TAG_VALUE} in its value once "
                "what Blob Storage does not take in it is escaped"
            )
    return encoded


def decode_tags(encoded: Mapping[str, str]) -> dict[str, str]:
    """The tags that were encoded. Raises ValueError for bytes that are no UTF-8."""
    return {_decode_tag(name): _decode_tag(value) for name, value in encoded.items()}


def check_metadata(encoded: Mapping[str, str]) -> None:
    """Raises ValueError for more than the service takes."""
    size_bytes = sum(len(name) + len(value) for name, value in encoded.items())
    if size_bytes > MOST_METADATA_BYTES:
        raise ValueError(f"the metadata would take {size_bytes} bytes, a blob has room for {MOST_METADATA_BYTES}")


def _encode_tag(text: str) -> str:
    return _IN_TAG.sub(_escape("=", "{:02X}"), text)


def _decode_tag(text: str) -> str:
    return _TAG_ESCAPES.sub(_unescape("="), text)


def _escape(mark: str, form: str) -> Callable[[re.Match[str]], str]:
    return lambda found: "".join(mark + form.format(byte) for byte in found[0].encode())


def _unescape(mark: str) -> Callable[[re.Match[str]], str]:
    return lambda found: bytes.fromhex(found[0].replace(mark, "")).decode()
