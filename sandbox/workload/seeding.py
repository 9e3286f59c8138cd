"""Fills a table before anything else happens: the awkward items first, realistic orders up to the count."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

from sandbox.workload.awkward import awkward_items
from sandbox.workload.calls import Backoff, CallFailure, is_retryable
from sandbox.workload.orders import order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sandbox.workload.calls import DynamoDb, Item

DEFAULT_COUNT = 5_000
BATCH_ITEMS = 25  # the service's limit
ORDERS_PER_CUSTOMER = 8
RETRY_FOR_S = 60.0


async def seed(
    client: DynamoDb,
    name: str,
    count: int = DEFAULT_COUNT,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write `count` items in batches; returns how many were written. Writing them again changes nothing.

    `progress` is called with the items written so far after each batch. Unprocessed items and transient errors
    are retried; raises WorkloadError when they last for more than RETRY_FOR_S.
    """
    chance = random.Random(seed)
    written = 0
    for batch in _batches(seed_items(count, seed)):
        await _write(client, name, batch, Backoff(chance, RETRY_FOR_S))
        written += len(batch)
        if progress:
            progress(written)
    return written


def seed_items(count: int = DEFAULT_COUNT, seed: int = 0) -> Iterator[Item]:
    """The items seed() writes, in its order: the same for the same arguments. Keys are distinct."""
    awkward = (item for _, item in awkward_items())
    return itertools.islice(itertools.chain(awkward, _orders(seed)), count)


def _orders(seed: int) -> Iterator[Item]:
    chance = random.Random(seed)
    for number in itertools.count():
        customer = f"customer-{number // ORDERS_PER_CUSTOMER:06d}"
        yield order(chance, (customer, f"order-{number:08d}"), version=1)


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    while batch := list(itertools.islice(items, BATCH_ITEMS)):
        yield batch


async def _write(client: DynamoDb, name: str, batch: Sequence[Item], backoff: Backoff) -> None:
    pending: Mapping[str, object] = {name: [{"PutRequest": {"Item": item}} for item in batch]}
    while pending:
        error: BaseException | None = None
        try:
            pending = (await client.batch_write_item(RequestItems=pending))["UnprocessedItems"]
        except CallFailure as failure:
            if not is_retryable(failure):
                raise
            error = failure
        if pending:
            await backoff.pause(f"seeding of {name}", error)
