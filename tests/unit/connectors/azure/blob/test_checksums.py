"""Promise: what the source knows of its bytes is verified by whichever algorithm can be computed here."""

import hashlib
import sys
import zlib
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.azure.blob import checksums
from connectors.azure.blob.checksums import KNOWN, Checksums

DATA = b"123456789"
KNOWN_SUMS = {
    "md5": "25f9e794323b453885f5181f1b624d0b",
    "crc32": "cbf43926",
    "sha1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "sha256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
}


@pytest.mark.parametrize("name", KNOWN_SUMS)
def test_sums_are_those_of_the_published_check_value(name: str) -> None:
    sums = Checksums({name: bytes.fromhex(KNOWN_SUMS[name])})
    sums.update([DATA[:4], b"", DATA[4:]])
    assert sums.mismatch == ""
    sums.update([b"x"])
    assert sums.mismatch == name


@given(st.lists(st.binary(max_size=40)))
def test_pieces_make_no_difference(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    expected = {"crc32": zlib.crc32(whole).to_bytes(4, "big"), "sha256": hashlib.sha256(whole).digest()}
    sums = Checksums(expected)
    for piece in pieces:
        sums.update([piece])
    assert sums.mismatch == ""
    assert sums.md5 == hashlib.md5(whole, usedforsecurity=False).digest()


def test_what_cannot_be_computed_is_not_held_against_the_bytes() -> None:
    sums = Checksums({"xxhash": b"x"})
    assert (sums.mismatch, sums.md5) == ("", hashlib.md5(usedforsecurity=False).digest())


def test_an_empty_object_is_verified_too() -> None:
    assert Checksums({"crc32": bytes(4)}).mismatch == ""
    assert Checksums({"crc32": b"\0\0\0\1"}).mismatch == "crc32"


def test_the_package_for_further_ones_is_used_where_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for it: what counts is how it is called, and that its numbers are big-endian bytes."""
    package, module = ModuleType("awscrt"), ModuleType("awscrt.checksums")
    module.crc32c = lambda data, before: before + len(data)  # type: ignore[attr-defined]
    module.crc64nvme = lambda data, before: before + 2 * len(data)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "awscrt", package)
    monkeypatch.setitem(sys.modules, "awscrt.checksums", module)
    monkeypatch.setattr(checksums, "KNOWN", {**KNOWN, **checksums._optional()})
    sums = Checksums({"crc32c": (5).to_bytes(4, "big"), "crc64nvme": (10).to_bytes(8, "big")})
    sums.update([b"12", b"345"])
    assert sums.mismatch == ""
