"""The digest of an object's bytes, read in bounded blocks, each repeated until it has come whole."""

import hashlib
from collections.abc import Callable
from contextlib import aclosing

from replicator.delivery import retrying
from replicator.errors import TransientError
from replicator.objects import Content, ContentChangedError, ContentRefusedError, StoredObject

BLOCK_BYTES = 8 * 1024 * 1024


async def content_digest(record: StoredObject, failed: Callable[[TransientError], None]) -> str:
    """See `replicator.ports.Source.content_digest`; `failed` is told of every block that is to be repeated."""
    if record.content is None or record.size is None or record.obstacle:
        return ""
    whole = hashlib.sha256()
    try:
        for start in range(0, record.size, BLOCK_BYTES):
            whole = await _with_block(whole, record.content, start, min(BLOCK_BYTES, record.size - start), failed)
    except (ContentChangedError, ContentRefusedError):
        return ""
    return whole.hexdigest()


async def _with_block(
    before: "hashlib._Hash", content: Content, start: int, length: int, failed: Callable[[TransientError], None]
) -> "hashlib._Hash":
    async def attempt() -> "hashlib._Hash":
        after = before.copy()
        async with aclosing(content.read(start, length)) as pieces:
            async for piece in pieces:
                after.update(piece)
        return after

    return await retrying(attempt, failed)
