"""The bytes of an object: they follow from a seed, piece by piece, so that no object is ever in memory as a whole."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """`size` bytes, the same for the same seed and size."""

    seed: str
    size: int

    def pieces(self, piece_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
        """All of it in order, in pieces of `piece_bytes`, a multiple of BLOCK_BYTES; the last one may be shorter."""
        for start in range(0, self.size, piece_bytes):
            end = min(start + piece_bytes, self.size)
            yield b"".join(self._block(at, end) for at in range(start, end, BLOCK_BYTES))

    def whole(self) -> bytes:
        """All of it at once, where it is small."""
        return b"".join(self.pieces())

    def md5(self) -> str:
        """In hexadecimal, as the ETag of an object that was not written in parts."""
        digest = hashlib.md5(usedforsecurity=False)
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()

    def _block(self, start: int, end: int) -> bytes:
        chance = random.Random(f"{self.seed}:{start // BLOCK_BYTES}")
        return chance.randbytes(min(BLOCK_BYTES, end - start))
