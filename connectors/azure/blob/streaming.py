"""The bytes of an object into blocks that nobody sees, in bounded memory: read in ranges, several blocks at once."""

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio
import anyio.to_thread

from connectors.azure.blob.calls import Calls
from connectors.azure.blob.checksums import SMALL_BYTES, Checksums
from connectors.azure.blob.sdk import Blob, Container
from connectors.azure.buffers import ByteBudget
from connectors.azure.contents import read_exactly
from connectors.azure.errors import AzureRefusal
from replicator.delivery import RateBudget
from replicator.objects import Content, ContentChangedError, ContentRefusedError, StoredObject

MOST_BLOCKS = 50_000
"""A block list has no more."""

SLOWEST_BYTES_PER_S = 64 * 1024
"""A block that is slower is given up and sent again."""

LEAST_DEADLINE_S = 30.0

INTEGRITY_ATTEMPTS = 3
"""So often are bytes read that do not have the source's checksum."""


class FetchRefusedError(Exception):
    """The service cannot fetch these bytes itself; the text holds no URL."""


ENDING = (ContentChangedError, ContentRefusedError, AzureRefusal, FetchRefusedError)
"""What ends the transfer of an object, by whichever of its blocks it was met."""


@dataclass(frozen=True, slots=True)
class Staged:
    """An object's blocks, in order, and the MD5 of all of them together; None where nobody has computed it."""

    block_ids: tuple[str, ...]
    md5: bytes | None


@dataclass(frozen=True, slots=True)
class Span:
    """Where one block lies in its object, in bytes."""

    number: int
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """`buffer` and `rate` are shared by all objects of the pipeline; sizes in bytes."""

    block_bytes: int
    block_concurrency: int
    buffer: ByteBudget
    rate: RateBudget


def block_size(size: int, limits: TransferLimits) -> int:
    """How large the blocks of an object of this size are. Raises ValueError where they would not fit into memory."""
    needed = max(limits.block_bytes, -(-size // MOST_BLOCKS))
    if needed > limits.buffer.total:
        raise ValueError(
            f"the object needs blocks of {needed} bytes, of which there can be {MOST_BLOCKS}: that is more than "
            "buffer_bytes, which must be raised for it"
        )
    return needed


def spans_of(size: int, block_bytes: int) -> list[Span]:
    """The blocks of an object, in order."""
    starts = range(0, size, block_bytes)
    return [Span(number, start, min(block_bytes, size - start)) for number, start in enumerate(starts)]


def deadline_s(size: int) -> float:
    """How long a request with so many bytes may take."""
    return LEAST_DEADLINE_S + size / SLOWEST_BYTES_PER_S


def new_block_ids() -> Callable[[int], str]:
    """Names of blocks that no other attempt uses, all equally long: the service takes no others beside each other."""
    attempt = secrets.token_hex(8)
    return lambda number: f"{attempt}{number:05}"


class Streamer:
    """Moves bytes through this process."""

    def __init__(self, container: Container, calls: Calls, limits: TransferLimits) -> None:
        self._container = container
        self._calls = calls
        self._limits = limits

    async def whole(self, record: StoredObject, content: Content) -> tuple[bytes, bytes]:
        """The bytes of a small object and their MD5, verified. Hold as much of the budget as they take meanwhile.

        Raises ContentChangedError, ContentRefusedError; ValueError where the bytes are not those of the source.
        """
        size = record.size or 0

        async def attempt() -> tuple[bytes, Checksums]:
            sums = Checksums(record.checksums or {})
            await self.paced(size)
            data = b"".join(await self.read(content, 0, size)) if size else b""
            await _computed(sums, [data])
            return data, sums

        data, sums = await attempt()
        for _ in range(INTEGRITY_ATTEMPTS - 1):
            if not sums.mismatch:
                break
            data, sums = await attempt()
        _verify(sums)
        return data, sums.md5

    async def staged(self, name: str, record: StoredObject, content: Content) -> Staged:
        """The bytes of an object as blocks, verified, to be committed under this name.

        Raises ContentChangedError, ContentRefusedError, AzureRefusal; ValueError where the bytes are not those of the
        source, or there are too many of them.
        """
        block_bytes = block_size(record.size or 0, self._limits)
        for _ in range(INTEGRITY_ATTEMPTS):
            transfer = _Transfer(self, self._container.get_blob_client(name), record, content, self._limits)
            block_ids = await transfer.run(record.size or 0, block_bytes)
            if not transfer.sums.mismatch:
                break
        _verify(transfer.sums)
        return Staged(block_ids, transfer.sums.md5)

    async def one_block(self, name: str, data: bytes) -> tuple[str, ...]:
        """The bytes of a small object as a block of the name that is given back; none where there are no bytes."""
        if not data:
            return ()
        sums, id_ = Checksums({}), new_block_ids()(0)
        sums.update([data])
        await self.stage(self._container.get_blob_client(name), id_, [data], sums.md5)
        return (id_,)

    async def stage(self, blob: Blob, id_: str, pieces: Sequence[bytes], md5: bytes) -> None:
        """Sends a block until it has arrived undamaged."""
        length = sum(map(len, pieces))

        async def send() -> None:
            await blob.stage_block(id_, _body(pieces), length=length, transactional_content_md5=bytearray(md5))

        await self._calls.stage(send, deadline_s(length))

    async def read(self, content: Content, start: int, length: int) -> list[bytes]:
        """Exactly these bytes; after a failure it goes on where it was cut off, for ever. Paced beforehand."""
        return await read_exactly(content, start, length, self._calls.telemetry)

    async def paced(self, size: int) -> None:
        """Returns when so many bytes may be transferred."""
        async with self._limits.rate.held():
            self._limits.rate.charge(size)


class _Transfer:
    """One reading of one object from end to end, block by block.

    Memory is asked for in the order of the blocks, so whoever has it never waits for one that has none.
    """

    def __init__(
        self, streamer: Streamer, blob: Blob, record: StoredObject, content: Content, limits: TransferLimits
    ) -> None:
        self.sums = Checksums(record.checksums or {})
        self._streamer = streamer
        self._blob = blob
        self._content = content
        self._limits = limits
        self._name = new_block_ids()
        self._turns = {0: anyio.Event()}
        self._turns[0].set()

    async def run(self, size: int, block_bytes: int) -> tuple[str, ...]:
        """The names of the blocks, which are staged then."""
        spans = spans_of(size, block_bytes)
        await in_blocks(spans, self._limits.block_concurrency, self._admit, self._block)
        return tuple(self._name(span.number) for span in spans)

    async def _admit(self, span: Span) -> None:
        await self._streamer.paced(span.length)
        await self._limits.buffer.take(span.length)
        self._turns[span.number + 1] = anyio.Event()

    async def _block(self, span: Span) -> None:
        """Read, taken into the checksums when it is its turn, and sent until it has arrived."""
        turn, next_turn = self._turns.pop(span.number), self._turns[span.number + 1]
        try:
            pieces = await self._streamer.read(self._content, span.start, span.length)
            mine = Checksums({})
            await _computed(mine, pieces)
            await turn.wait()
            await _computed(self.sums, pieces)
            next_turn.set()
            await self._streamer.stage(self._blob, self._name(span.number), pieces, mine.md5)
        finally:
            self._limits.buffer.give(span.length)


async def in_blocks(
    spans: Sequence[Span],
    concurrency: int,
    admit: Callable[[Span], Awaitable[None]],
    run: Callable[[Span], Awaitable[None]],
) -> None:
    """Admits blocks one after the other and runs several at once, until all are done.

    Raises the first of ENDING that any of them met, when none is under way any more.
    """
    slots, ended = anyio.Semaphore(concurrency), list[Exception]()

    async def guarded(span: Span) -> None:
        try:
            await run(span)
        except ENDING as error:
            ended.append(error)
            tasks.cancel_scope.cancel()
        finally:
            slots.release()

    async with anyio.create_task_group() as tasks:
        for span in spans:
            await slots.acquire()
            await admit(span)
            tasks.start_soon(guarded, span)
    if ended:
        raise ended[0]


async def _computed(sums: Checksums, pieces: Sequence[bytes]) -> None:
    if sum(map(len, pieces)) > SMALL_BYTES:
        await anyio.to_thread.run_sync(sums.update, pieces)
    else:
        sums.update(pieces)


async def _body(pieces: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    """Sent as it lies in memory, without another copy of the whole block."""
    for piece in pieces:
        yield piece


def _verify(sums: Checksums) -> None:
    if sums.mismatch:
        raise ValueError(
            f"the bytes do not have the checksum that the source gives ({sums.mismatch}), although they were read "
            f"{INTEGRITY_ATTEMPTS} times"
        )
