"""The hash that places a logical partition: MurmurHash3 x64 128, as the SDKs compute it."""

from __future__ import annotations

_M64 = 0xFFFFFFFFFFFFFFFF
_C1 = 0x87C37B91114253D5
_C2 = 0x4CF5AD432745937F


def murmur3_128(data: bytes) -> tuple[int, int]:
    """MurmurHash3 x64 128 with seed 0; returns its low and high 64 bits."""
    h1 = h2 = 0
    size = len(data)
    whole = size & ~15
    for at in range(0, whole, 16):
        k1 = int.from_bytes(data[at : at + 8], "little")
        k2 = int.from_bytes(data[at + 8 : at + 16], "little")
        h1 ^= _scramble(k1, _C1, 31, _C2)
        h1 = (_rotate(h1, 27) + h2) * 5 + 0x52DCE729 & _M64
        h2 ^= _scramble(k2, _C2, 33, _C1)
        h2 = (_rotate(h2, 31) + h1) * 5 + 0x38495AB5 & _M64
    tail = data[whole:]
    h2 ^= _scramble(int.from_bytes(tail[8:], "little"), _C2, 33, _C1)
    h1 ^= _scramble(int.from_bytes(tail[:8], "little"), _C1, 31, _C2)
    h1 ^= size
    h2 ^= size
    h1 = h1 + h2 & _M64
    h2 = h2 + h1 & _M64
    h1, h2 = _mix(h1), _mix(h2)
    h1 = h1 + h2 & _M64
    return h1, h2 + h1 & _M64


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> 64 - bits) & _M64


def _scramble(value: int, before: int, bits: int, after: int) -> int:
    return _rotate(value * before & _M64, bits) * after & _M64


def _mix(value: int) -> int:
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD & _M64
    value ^= value >> 33
    value = value * 0xC4CEB9FE1A85EC53 & _M64
    return value ^ value >> 33
