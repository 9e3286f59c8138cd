"""The bytes of an object fetched by the service itself, block by block, from a URL that the source signs.

They do not pass through this process, so that their checksums are not verified here. URLs are secrets: they reach
neither logs nor errors.
"""

from connectors.azure.blob.calls import Calls, sent
from connectors.azure.blob.sdk import Blob, Container
from connectors.azure.blob.streaming import (
    MOST_BLOCKS,
    FetchRefusedError,
    Span,
    Staged,
    Streamer,
    TransferLimits,
    deadline_s,
    in_blocks,
    new_block_ids,
    spans_of,
)
from connectors.azure.errors import AzureRefusal
from replicator.clocks import elapsed_s
from replicator.delivery import retrying
from replicator.errors import ThrottledError
from replicator.objects import Content, StoredObject

BLOCK_BYTES = 64 * 1024 * 1024
"""Blocks need no memory of ours, so they are larger than streamed ones."""

ATTEMPTS = 4
"""So often is the service asked for one block. It may fail for the source's sake, without saying so."""

MOST_URL_CHARACTERS = 2048
"""The service takes no longer ones; a long key, escaped and signed, may need more."""

PAUSE_S = 600.0
"""For so long is everything streamed after the service could not fetch an object that could be streamed."""


class Fetcher:
    """Lets the service fetch, and remembers where it cannot."""

    def __init__(self, container: Container, calls: Calls, limits: TransferLimits, streamer: Streamer) -> None:
        self._container = container
        self._calls = calls
        self._limits = limits
        self._streamer = streamer
        self._paused_until = float("-inf")

    @property
    def paused(self) -> bool:
        """Whether everything is streamed for the time being."""
        return elapsed_s() < self._paused_until

    async def staged(self, name: str, record: StoredObject, content: Content) -> Staged | None:
        """The object's blocks, to be committed under this name; None where they are to be streamed.

        Raises ContentChangedError and ContentRefusedError, AzureRefusal for a name that takes no blocks.
        """
        if self.paused:
            return None
        url = await self._url(content, deadline_s(0))
        if url is None or len(url) > MOST_URL_CHARACTERS:
            return None
        try:
            return await self._fetched(name, record, content)
        except FetchRefusedError as error:
            await self._streamer.read(content, 0, 1)  # an object that has changed or is forbidden proves nothing
            self._paused_until = elapsed_s() + PAUSE_S
            self._calls.telemetry.log.warning(
                "the target cannot fetch from the source, so bytes are streamed", reason=str(error), pause_s=PAUSE_S
            )
            return None

    async def _fetched(self, name: str, record: StoredObject, content: Content) -> Staged:
        size, id_of = record.size or 0, new_block_ids()
        spans = spans_of(size, max(BLOCK_BYTES, -(-size // MOST_BLOCKS)))
        blob: Blob = self._container.get_blob_client(name)

        async def admit(span: Span) -> None:
            await self._streamer.paced(span.length)

        async def run(span: Span) -> None:
            await self._block(blob, id_of(span.number), content, span)

        await in_blocks(spans, self._limits.block_concurrency, admit, run)
        await self._streamer.read(content, 0, 1)  # its URL shows the newest version: all blocks are of this one
        return Staged(tuple(id_of(span.number) for span in spans), (record.checksums or {}).get("md5"))

    async def _block(self, blob: Blob, id_: str, content: Content, span: Span) -> None:
        """Raises FetchRefusedError where the service says that it cannot, or has failed too often."""
        limit_s, left = deadline_s(span.length), ATTEMPTS

        async def send() -> None:
            nonlocal left
            url = await self._url(content, limit_s)
            if url is None or not left:
                raise FetchRefusedError("it fails again and again")
            left -= 1
            try:
                await sent(lambda: blob.stage_block_from_url(id_, url, span.start, span.length))
            except ThrottledError:  # which is about us, not about the source
                left += 1
                raise

        try:
            await self._calls.stage(send, limit_s)
        except AzureRefusal as refusal:
            raise FetchRefusedError(f"status {refusal.status}/{refusal.code}") from None

    async def _url(self, content: Content, lifetime_s: float) -> str | None:
        return await retrying(lambda: content.url(lifetime_s), self._calls.telemetry.source_failed)
