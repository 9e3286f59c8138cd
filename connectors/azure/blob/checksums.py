"""What is computed of the bytes while they pass: the MD5 that the blob keeps, and what the source knows of them."""

import hashlib
import importlib
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

SMALL_BYTES = 64 * 1024
"""What is larger is computed in a thread, so that others get their turn."""


class Sum(Protocol):
    """A checksum that grows."""

    def update(self, data: bytes, /) -> None:
        """Takes the next bytes."""

    def digest(self) -> bytes:
        """Of all so far."""


class _Crc:
    def __init__(self, function: Callable[[bytes, int], int], size_bytes: int) -> None:
        self._function = function
        self._size_bytes = size_bytes
        self._value = 0

    def update(self, data: bytes) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size_bytes, "big")


def _optional() -> dict[str, Callable[[], Sum]]:
    """What only the package `awscrt` computes fast enough."""
    try:
        crt: Any = importlib.import_module("awscrt.checksums")
    except ImportError:
        return {}
    found: dict[str, Callable[[], Sum]] = {}
    for name, size_bytes in (("crc32c", 4), ("crc64nvme", 8)):
        function = getattr(crt, name, None)
        if function is not None:
            found[name] = lambda function=function, size_bytes=size_bytes: _Crc(function, size_bytes)  # type: ignore[misc]
    return found


KNOWN: dict[str, Callable[[], Sum]] = {
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "crc32": lambda: _Crc(zlib.crc32, 4),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    **_optional(),
}
"""The algorithms that can be verified here."""


class Checksums:
    """Of one object's bytes, in order."""

    def __init__(self, expected: Mapping[str, bytes]) -> None:
        self._expected = {name: value for name, value in expected.items() if name in KNOWN}
        self._sums = {name: KNOWN[name]() for name in {"md5", *self._expected}}

    def update(self, pieces: Iterable[bytes]) -> None:
        """Takes the next bytes."""
        for piece in pieces:
            for each in self._sums.values():
                each.update(piece)

    @property
    def md5(self) -> bytes:
        return self._sums["md5"].digest()

    @property
    def mismatch(self) -> str:
        """The algorithm by which the bytes are not those of the source, empty where all agree."""
        wrong = [name for name, value in self._expected.items() if self._sums[name].digest() != value]
        return wrong[0] if wrong else ""
