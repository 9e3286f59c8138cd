"""A table whose stream splits, rolls over, closes and forgets, and a `dynamodbstreams` client that reads it.

The table is the ground truth and owns the service's clock, which is not ours. The client answers as botocore parses it
and errs as botocore raises it. It takes every liberty the service has: pages of any size, empty pages before data (at
most two in a row), shards listed in any order and late, commit times rounded down, records that become readable only
some time after their commit, sequence numbers with leading zeros. Merges are left out: one `ParentShardId` cannot say
them.
"""

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise
from typing import Any
from zlib import crc32

import anyio
from botocore.exceptions import ClientError

from replicator.clocks import elapsed_s

LABEL = "2026-11-23T08:00:00.000"
STREAM_ARN = f"arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/{LABEL}"
TABLE_NAME = "orders"
KEY_NAME = "id"

KEY_SPACE = 2**32
AHEAD_S = 1.8e9
"""The service's clock is ahead of ours by so much unless told otherwise: ours counts from about zero in tests."""

RETENTION_S = 24 * 3600.0
ITERATOR_LIFE_S = 900.0
MOST_EMPTY_PAGES = 2
"""Before data that is readable, the service hands out no more empty pages than this in a row."""

Answer = dict[str, Any]
Fault = Callable[[str], Exception | None]
"""Told of each operation; what it returns is raised instead of an answer."""


def no_fault(_operation: str) -> None:
    """Every call succeeds."""


def client_error(operation: str, code: str, message: str = "no", status: int = 400) -> Exception:
    """An error answer as botocore raises it."""
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error: Exception = ClientError(response, operation)
    return error


@dataclass(frozen=True, slots=True)
class Entry:
    """One change in the stream. `at` is the true time of its commit; no image is a deletion."""

    sequence: str
    name: str
    image: Mapping[str, Any] | None
    at: float
    visible_at: float

    @property
    def order(self) -> int:
        return int(self.sequence)

    def wire(self) -> Answer:
        """The record as the client hands it out."""
        data = {
            "Keys": {KEY_NAME: {"S": self.name}},
            "SequenceNumber": self.sequence,
            "ApproximateCreationDateTime": datetime.fromtimestamp(int(self.at), UTC),
        }
        image = {} if self.image is None else {"NewImage": self.image}
        return {"eventName": "REMOVE" if self.image is None else "MODIFY", "dynamodb": {**data, **image}}


@dataclass
class Shard:
    """Part of the stream: the names whose hash lies in [low, high). Listings come in the order of `rank`."""

    id: str
    low: int
    high: int
    parent: str | None
    rank: float
    listed_at: float
    closed_at: float | None = None
    entries: list[Entry] = field(default_factory=list)
    empty_pages: int = 0


class StreamedTable:
    """The ground truth; `log` is every change there ever was, in order.

    `rate` is how fast the service's clock runs by ours. A change can be read within `visible_within_s` of its commit.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        shards: int = 1,
        ahead_s: float = AHEAD_S,
        rate: float = 1.0,
        visible_within_s: float = 0.0,
    ) -> None:
        self.rng = rng
        self.visible_within_s = visible_within_s
        self.rows: dict[str, Mapping[str, Any]] = {}
        self.log: list[Entry] = []
        self.shards: dict[str, Shard] = {}
        self.hidden: dict[int, set[str]] = {}
        self._ahead_s = ahead_s
        self._rate = rate
        self._numbers = 0
        self._sequence = 97
        for low, high in pairwise(KEY_SPACE * i // shards for i in range(shards + 1)):
            self._add(low, high, None, self.now())

    def now(self) -> float:
        """The service's time."""
        return elapsed_s() * self._rate + self._ahead_s

    def put(self, name: str, **attributes: Mapping[str, Any]) -> Entry:
        """Brings an item to a state that no item was ever in."""
        self._numbers += 1
        image = {KEY_NAME: {"S": name}, "number": {"N": str(self._numbers)}, **attributes}
        self.rows[name] = image
        return self._record(name, image)

    def delete(self, name: str) -> None:
        """Deletes an item; where there is none, the stream says nothing."""
        if self.rows.pop(name, None) is not None:
            self._record(name, None)

    def split(self, id_: str, *, listed_after_s: Iterable[float] = (0.0, 0.0)) -> list[str]:
        """Closes a shard; as many children as there are delays before their listing continue it. One is a roll-over."""
        old, delays = self.shards[id_], list(listed_after_s)
        old.closed_at = self.now()
        edges = [old.low + (old.high - old.low) * i // len(delays) for i in range(len(delays) + 1)]
        return [
            self._add(low, high, id_, max(old.listed_at, self.now() + late))
            for (low, high), late in zip(pairwise(edges), delays, strict=True)
        ]

    def close(self, id_: str) -> None:
        """Closes a shard that nothing continues: the stream is turned off."""
        self.shards[id_].closed_at = self.now()

    def open_shards(self) -> list[Shard]:
        """Those that take new changes."""
        return [shard for shard in self.shards.values() if shard.closed_at is None]

    def hide(self, run: int, *ids: str) -> None:
        """Leaves shards out of the `run`th listing, counted from 1."""
        self.hidden.setdefault(run, set()).update(ids)

    def is_gone(self, shard: Shard) -> bool:
        """Whether a shard was closed so long ago that nothing of it is kept."""
        return shard.closed_at is not None and shard.closed_at < self.now() - RETENTION_S

    def horizon(self, shard: Shard) -> int:
        """How many entries of a shard were trimmed."""
        return bisect_right([e.at for e in shard.entries], self.now() - RETENTION_S)

    def visible(self, shard: Shard) -> int:
        """How many entries of a shard can be read, or could be once."""
        return bisect_right([e.visible_at for e in shard.entries], self.now())

    def _record(self, name: str, image: Mapping[str, Any] | None) -> Entry:
        now = self.now()
        (shard,) = (s for s in self.open_shards() if s.low <= crc32(name.encode()) < s.high)
        self._sequence += self.rng.randint(1, 5)
        last = shard.entries[-1].visible_at if shard.entries else 0.0
        visible_at = max(last, now + self.rng.uniform(0, self.visible_within_s))
        entry = Entry("0" * self.rng.randint(0, 2) + str(self._sequence), name, image, now, visible_at)
        shard.entries.append(entry)
        self.log.append(entry)
        return entry

    def _add(self, low: int, high: int, parent: str | None, listed_at: float) -> str:
        id_ = f"shardId-{len(self.shards):05d}"
        self.shards[id_] = Shard(id_, low, high, parent, self.rng.random(), listed_at)
        return id_


@dataclass(frozen=True)
class Meta:
    """What a client knows of itself."""

    endpoint_url: str = "https://dynamodb.example"


class ServiceClient:
    """What the fake clients have in common: they count calls, take time, err on request and tell the service's time."""

    meta = Meta()

    def __init__(self, table: StreamedTable, *, latency_s: float = 0.0, fault: Fault = no_fault) -> None:
        self.calls: Counter[str] = Counter()
        self.fault = fault
        self.table = table
        self._latency_s = latency_s

    async def _answer(
        self, operation: str, effect: Callable[[Mapping[str, Any]], Answer], parameters: Answer
    ) -> Answer:
        self.calls[operation] += 1
        await anyio.sleep(self.table.rng.uniform(0, self._latency_s / 2))
        error = self.fault(operation)
        if error is not None:
            raise error
        answer = effect(parameters)
        date = format_datetime(datetime.fromtimestamp(int(self.table.now()), UTC), usegmt=True)
        answer["ResponseMetadata"] = {"HTTPStatusCode": 200, "HTTPHeaders": {"date": date}}
        await anyio.sleep(self.table.rng.uniform(0, self._latency_s / 2))
        return answer


class StreamsClient(ServiceClient):
    """The `dynamodbstreams` calls. `shards_per_page` and `page` bound a listing's and a read's page."""

    def __init__(
        self,
        table: StreamedTable,
        *,
        shards_per_page: int = 2,
        page: int = 6,
        latency_s: float = 0.0,
        fault: Fault = no_fault,
    ) -> None:
        super().__init__(table, latency_s=latency_s, fault=fault)
        self.shards_per_page = shards_per_page
        self.page = page
        self.runs = 0

    async def describe_stream(self, **parameters: Any) -> Answer:
        return await self._answer("describe_stream", self._list, parameters)

    async def get_shard_iterator(self, **parameters: Any) -> Answer:
        return await self._answer("get_shard_iterator", self._iterator, parameters)

    async def get_records(self, **parameters: Any) -> Answer:
        return await self._answer("get_records", self._records, parameters)

    def _list(self, parameters: Mapping[str, Any]) -> Answer:
        start = parameters.get("ExclusiveStartShardId")
        self.runs += start is None
        after = -1.0 if start is None else self.table.shards[start].rank
        listed = sorted((s for s in self.table.shards.values() if self._is_listed(s)), key=lambda s: s.rank)
        match parameters.get("ShardFilter"):
            case {"Type": "CHILD_SHARDS", "ShardId": parent}:
                listed = [shard for shard in listed if shard.parent == parent]
        left = [shard for shard in listed if shard.rank > after]
        shards = left[: min(self.shards_per_page, parameters.get("Limit", 100))]
        more = {"LastEvaluatedShardId": shards[-1].id} if len(left) > len(shards) else {}
        return {"StreamDescription": {"StreamStatus": "ENABLED", "Shards": [_described(s) for s in shards], **more}}

    def _is_listed(self, shard: Shard) -> bool:
        hidden = shard.id in self.table.hidden.get(self.runs, ())
        return shard.listed_at <= self.table.now() and not self.table.is_gone(shard) and not hidden

    def _iterator(self, parameters: Mapping[str, Any]) -> Answer:
        shard = self._shard(parameters["StreamArn"], parameters["ShardId"], "get_shard_iterator")
        match parameters["ShardIteratorType"]:
            case "TRIM_HORIZON":
                index = self.table.horizon(shard)
            case "LATEST":
                index = self.table.visible(shard)
            case "AFTER_SEQUENCE_NUMBER":
                index = bisect_right([e.order for e in shard.entries], int(parameters["SequenceNumber"]))
                if index <= self.table.horizon(shard) and self.table.horizon(shard):
                    raise client_error("get_shard_iterator", "TrimmedDataAccessException")
            case other:
                raise client_error("get_shard_iterator", "ValidationException", f"no iterator type {other}")
        return {"ShardIterator": self._token(shard, index)}

    def _records(self, parameters: Mapping[str, Any]) -> Answer:
        id_, index_text, created_at = parameters["ShardIterator"].split("|")
        shard, index = self._shard(STREAM_ARN, id_, "get_records"), int(index_text)
        if float(created_at) + ITERATOR_LIFE_S < self.table.now():
            raise client_error("get_records", "ExpiredIteratorException")
        if index < self.table.horizon(shard):
            raise client_error("get_records", "TrimmedDataAccessException")
        entries = self._page(shard, index, parameters["Limit"])
        index += len(entries)
        answer: Answer = {"Records": [entry.wire() for entry in entries]}
        if not (self._is_at_end(shard, index) and (not entries or self.table.rng.random() < 0.5)):
            answer["NextShardIterator"] = self._token(shard, index)
        return answer

    def _page(self, shard: Shard, index: int, limit: int) -> list[Entry]:
        entries = shard.entries[index : self.table.visible(shard)]
        if entries and shard.empty_pages < MOST_EMPTY_PAGES and self.table.rng.random() < 0.5:
            shard.empty_pages += 1
            return []
        shard.empty_pages = 0
        return entries[: self.table.rng.randint(1, min(limit, self.page))]

    def _is_at_end(self, shard: Shard, index: int) -> bool:
        settled = shard.closed_at is not None and shard.closed_at + self.table.visible_within_s <= self.table.now()
        return settled and index == len(shard.entries)

    def _shard(self, arn: str, id_: str, operation: str) -> Shard:
        shard = self.table.shards.get(id_)
        if arn != STREAM_ARN or shard is None or self.table.is_gone(shard):
            raise client_error(operation, "ResourceNotFoundException")
        return shard

    def _token(self, shard: Shard, index: int) -> str:
        return f"{shard.id}|{index}|{self.table.now()}"


def _described(shard: Shard) -> Answer:
    """A shard in a listing; its range is left empty, as it may be."""
    parent = {} if shard.parent is None else {"ParentShardId": shard.parent}
    return {"ShardId": shard.id, "SequenceNumberRange": {}, **parent}
