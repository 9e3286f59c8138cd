"""The blob's name for an object's key: the key as it is, behind a prefix, or refused with the reason.

What the client or the service would change without a word must never be sent, since it would overwrite another blob.
docs/connectors/blob-names.md says where each rule comes from. Pure functions.
"""

import re

MOST_CHARACTERS = 1024
"""The longest name that the service takes, in UTF-16 code units."""

MOST_SEGMENTS = 254
"""The most parts between slashes that the service takes."""

_UNSUPPORTED = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def blob_name(key: str, prefix: str = "") -> str:
    """The name of the blob that holds the object of this key. Raises ValueError, saying why, where none can."""
    name = prefix + key
    if not key:
        raise ValueError("a blob needs a name: the key is empty")
    if "\\" in name:
        raise ValueError("Blob Storage turns a backslash in a name into a slash, which is another blob")
    if (found := _UNSUPPORTED.search(name)) is not None:
        raise ValueError(f"Blob Storage takes no name with the character U+{ord(found[0]):04X}")
    if _LONE_SURROGATE.search(name) is not None:
        raise ValueError("the key is no text that can be written in UTF-8")
    segments = name.split("/")
    if any(segment.endswith(".") for segment in segments):
        raise ValueError(
            "a part of the key between slashes ends with a dot, which clients and the service remove: another blob "
            "would be written"
        )
    if len(segments) > MOST_SEGMENTS:
        raise ValueError(f"the key has {len(segments)} parts between slashes, a blob's name at most {MOST_SEGMENTS}")
    if len(sort_key(name)) > 2 * MOST_CHARACTERS:
        raise ValueError(f"the blob's name would be longer than {MOST_CHARACTERS} characters")
    return name


def object_key(name: str, prefix: str = "") -> str | None:
    """The key whose object this blob would hold, None where there can be none."""
    key = name.removeprefix(prefix)
    try:
        return key if blob_name(key, prefix) == name else None
    except ValueError:
        return None


def sort_key(name: str) -> bytes:
    """Names in the order of this are in that of a listing: by UTF-16 code units."""
    return name.encode("utf-16-be", errors="surrogatepass")
