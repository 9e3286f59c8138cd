"""Objects as blobs: written, relabelled or removed, on the condition that the blob still is as it was observed.

An object of at most ONE_REQUEST_BYTES goes in one request. Larger ones are staged in blocks, which nobody sees, and
committed as one list in a small request: since that alone takes effect, however long the bytes have taken, it is over
within a request's lifetime.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from azure.core import MatchConditions
from azure.storage.blob import BlobBlock

from connectors.azure.blob.calls import CONFLICTS, Calls
from connectors.azure.blob.fetching import Fetcher
from connectors.azure.blob.label import ETAG, Found, Label, LabelRules, label_of
from connectors.azure.blob.names import blob_name
from connectors.azure.blob.observing import Observer
from connectors.azure.blob.sdk import Blob, Container
from connectors.azure.blob.streaming import Staged, Streamer, TransferLimits
from connectors.azure.errors import AzureRefusal
from connectors.azure.parallel import in_parallel
from replicator.errors import AmbiguousError
from replicator.model import ABSENT, Change, GuardedResult, Observed, Operation, Rejection, Rule
from replicator.objects import Content, ContentChangedError, ContentRefusedError, Headers, StoredObject

ONE_REQUEST_BYTES = 256 * 1024
"""So much is over soon even on a slow line with many requests under way."""

Condition = Mapping[str, Any]

ABSENT_ONLY: Condition = {"match_condition": MatchConditions.IfMissing}
UNCONDITIONAL: Condition = {}


class MovedOnError(Exception):
    """The blob is no longer as it was observed."""


@dataclass(frozen=True, slots=True)
class Sending:
    """How a write is sent: on which condition, and whether it is repeated after an unknown outcome."""

    condition: Condition
    write: Callable[[Sequence[str], Callable[[], Awaitable[Any]]], Awaitable[Any]]


def unchanged(guard: str) -> Condition:
    """The condition that a blob still has this ETag."""
    return {"etag": f'"{guard}"', "match_condition": MatchConditions.IfNotModified}


class Writer:
    """Writes blobs of one container, in parallel across keys."""

    def __init__(
        self,
        container: Container,
        calls: Calls,
        rules: LabelRules,
        prefix: str,
        limits: TransferLimits,
        *,
        fetching: bool = False,
    ) -> None:
        self.transfer = Streamer(container, calls, limits)
        self.fetcher = Fetcher(container, calls, limits, self.transfer) if fetching else None
        self._container = container
        self._calls = calls
        self._rules = rules
        self._prefix = prefix
        self._limits = limits
        self._observer = Observer(container, calls, rules, prefix)

    async def replace(
        self, changes: Mapping[str, Change[StoredObject]], observed: Mapping[str, Observed]
    ) -> GuardedResult:
        """See `replicator.ports.Target.replace`."""
        rejections: list[Rejection] = []
        conflicts: list[str] = []

        async def put(key: str) -> None:
            guard = observed[key].guard
            sending = Sending(ABSENT_ONLY if guard is None else unchanged(guard), self._calls.write_once)
            try:
                await self._put(changes[key], observed[key], sending)
            except (AmbiguousError, ContentChangedError, MovedOnError):
                conflicts.append(key)
            except (ValueError, ContentRefusedError, AzureRefusal) as error:
                rejections.append(Rejection(key, _reason(error)))

        await in_parallel(put, list(changes))
        return GuardedResult(tuple(rejections), tuple(conflicts))

    async def apply(self, changes: Sequence[Change[StoredObject]], rule: Rule) -> list[Rejection]:
        """Unconditionally; a copied row only where there is none."""
        rejections: list[Rejection] = []
        sending = Sending(ABSENT_ONLY if rule is Rule.COPY else UNCONDITIONAL, self._calls.write)
        by_key = {change.key: change for change in changes}

        async def put(key: str) -> None:
            deleting = by_key[key].operation is Operation.DELETE
            if deleting and rule is Rule.COPY:
                return
            try:
                while not await self._put_anyhow(by_key[key], sending):
                    if deleting or rule is Rule.COPY:  # what is not there is deleted, a copied row may exist
                        return
            except (ValueError, ContentChangedError, ContentRefusedError, AzureRefusal) as error:
                rejections.append(Rejection(key, _reason(error)))

        await in_parallel(put, list(by_key))
        return rejections

    async def remove(self, key: str, name: str, guard: str) -> None:
        """Removes a blob on the condition that it has not changed; whoever has changed it, or holds it, keeps it."""
        while True:
            try:
                await self._delete(key, name, Sending(unchanged(guard), self._calls.write_once))
            except MovedOnError:
                return
            except AzureRefusal as refusal:
                told = f"status {refusal.status}/{refusal.code}"
                self._calls.telemetry.log.warning("a blob that is not ours cannot be removed", reason=told)
                return
            except AmbiguousError:
                continue
            return

    async def _put_anyhow(self, change: Change[StoredObject], sending: Sending) -> bool:
        """False where it was not written: somebody else's commit may have discarded its blocks."""
        try:
            await self._put(change, None, sending)
        except MovedOnError:
            return False
        return True

    async def _put(self, change: Change[StoredObject], observed: Observed | None, sending: Sending) -> None:
        """`observed` is None where nothing is known of the blob."""
        if change.operation is Operation.DELETE:
            if observed != ABSENT:
                await self._remove(change.key, sending)
            return
        record = change.record
        name, label = blob_name(change.key, self._prefix), label_of(record, self._rules)
        if observed is not None and observed.digest == label.digest():
            return
        if observed is not None and await self._relabelled(name, record, label, observed, sending):
            return  # also where the content cannot be read any more, such as that of an object that was archived since
        if record.obstacle:
            raise ContentRefusedError(record.obstacle)
        if label.size <= ONE_REQUEST_BYTES:
            await self._at_once(name, record, label, sending)
        else:
            await self._in_blocks(name, record, label, sending)

    async def _remove(self, key: str, sending: Sending) -> None:
        try:
            name = blob_name(key, self._prefix)
        except ValueError:  # it can never have been written
            return
        await self._delete(key, name, sending)

    async def _delete(self, key: str, name: str, sending: Sending) -> None:
        blob = self._blob(name)
        await self._sent(key, sending, lambda: blob.delete_blob(**sending.condition))

    async def _at_once(self, name: str, record: StoredObject, label: Label, sending: Sending) -> None:
        blob, content = self._blob(name), record.content
        async with self._limits.buffer.hold(label.size):
            if content is None and label.size:
                raise ValueError("the object came without its content")
            data, md5 = await self.transfer.whole(record, content) if content is not None else (b"", None)
            options = {**label.options(md5), **sending.condition, "length": label.size, "overwrite": True}
            try:
                await self._sent(record.key, sending, lambda: blob.upload_blob(data, **options))
            except MovedOnError:
                if sending.condition != ABSENT_ONLY:
                    raise
                await self._among_blocks(name, record.key, label, (data, md5), sending)

    async def _among_blocks(
        self, name: str, key: str, label: Label, content: tuple[bytes, bytes | None], sending: Sending
    ) -> None:
        """Creates a small blob as large ones are. Azurite takes the blocks that somebody has staged, and left, for a
        blob that exists already, where it is to be created in one request.
        """
        staged = await self.transfer.one_block(name, content[0])
        await self._commit(name, key, [BlobBlock(id_) for id_ in staged], label, content[1], sending)

    async def _in_blocks(self, name: str, record: StoredObject, label: Label, sending: Sending) -> None:
        if record.content is None:
            raise ValueError("the object came without its content")
        staged = await self._staged(name, record, record.content)
        await self._commit(name, record.key, [BlobBlock(id_) for id_ in staged.block_ids], label, staged.md5, sending)

    async def _staged(self, name: str, record: StoredObject, content: Content) -> Staged:
        fetched = await self.fetcher.staged(name, record, content) if self.fetcher is not None else None
        return fetched or await self.transfer.staged(name, record, content)

    async def _relabelled(
        self, name: str, record: StoredObject, label: Label, observed: Observed, sending: Sending
    ) -> bool:
        """Whether the blob had the same content, so that only its label was written, in one conditional request.

        The blocks of a large blob are committed again. A small one, which has none, is written with its own bytes.
        """
        small = label.size <= ONE_REQUEST_BYTES
        if observed.guard is None or not observed.version or not _labels(record):
            return False
        if small and observed.version != record.version and not record.obstacle:
            return False  # to find out whether it is the same content would cost as much as to send it
        blob = await self._observer.find(name)
        if blob is None or blob.etag != observed.guard or not blob.intact:
            raise MovedOnError
        if (blob.note(ETAG), blob.label.size) != (record.etag, label.size):
            return False
        if small:
            await self._again(name, record.key, label, blob, sending)
            return True
        committed, _ = await self._calls.read(lambda: self._blob(name).get_block_list("committed"))
        if sum(block.size for block in committed) != label.size:
            return False
        blocks = [BlobBlock(block.id) for block in committed]
        await self._commit(name, record.key, blocks, label, blob.md5, sending)
        return True

    async def _again(self, name: str, key: str, label: Label, found: Found, sending: Sending) -> None:
        """Writes a small blob's own bytes with another label."""
        blob = self._blob(name)

        async def read() -> bytes:
            data: bytes = await (await blob.download_blob(decompress=False, **unchanged(found.etag))).readall()
            return data

        async with self._limits.buffer.hold(label.size):
            try:
                data = await self._calls.read(read)
            except AzureRefusal as refusal:
                if refusal.code in CONFLICTS:
                    raise MovedOnError from refusal
                raise
            options = {**label.options(found.md5), **sending.condition, "length": label.size, "overwrite": True}
            await self._sent(key, sending, lambda: blob.upload_blob(data, **options))

    async def _commit(
        self, name: str, key: str, blocks: list[BlobBlock], label: Label, md5: bytes | None, sending: Sending
    ) -> None:
        blob = self._blob(name)
        options = {**label.options(md5), **sending.condition}
        await self._sent(key, sending, lambda: blob.commit_block_list(blocks, **options))

    async def _sent(self, key: str, sending: Sending, send: Callable[[], Awaitable[Any]]) -> None:
        try:
            await sending.write([key], send)
        except AzureRefusal as refusal:
            if refusal.code in CONFLICTS:
                raise MovedOnError from refusal
            raise

    def _blob(self, name: str) -> Blob:
        blob: Blob = self._container.get_blob_client(name)
        return blob


def _labels(record: StoredObject) -> bool:
    """Whether the record tells content and label apart: it has an ETag, and its headers could be read.

    One whose headers the source could not read shows none at all, and would take those of the blob away.
    """
    return bool(record.etag) and (not record.obstacle or (record.headers is not None and record.headers != Headers()))


def _reason(error: Exception) -> str:
    return f"Blob Storage refuses the blob: {error}" if isinstance(error, AzureRefusal) else str(error)
