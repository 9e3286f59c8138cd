"""What is sent for changes: mapped, and with large bodies left in blobs. What cannot go is rejected with its reason."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import anyio
import anyio.lowlevel

from connectors.azure.servicebus.claims import Claims
from connectors.azure.servicebus.fetching import CHANGED
from connectors.azure.servicebus.mapping import MappingRules, MessageRefusedError, Outgoing, to_servicebus
from connectors.azure.servicebus.pointers import inlined, rewritten
from connectors.azure.servicebus.sending import Blocked, Parcel, without
from connectors.pointers import s3_pointer
from replicator.messages import Message
from replicator.model import Change, Rejection
from replicator.objects import ContentChangedError, ContentRefusedError

BREATH: Final = 50
"""Mapping so many messages takes some milliseconds; then others get their turn."""


class Preparation:
    """`s3_buckets` None leaves the pointers of extended clients alone; `claims` None rejects what is too large."""

    def __init__(self, rules: MappingRules, claims: Claims | None, s3_buckets: Mapping[str, str] | None) -> None:
        self._rules = rules
        self._claims = claims
        self._s3_buckets = s3_buckets

    async def prepare(self, changes: Sequence[Change[Message]], max_bytes: int) -> tuple[list[Parcel], list[Rejection]]:
        """Parcels in the order of their changes, and the rejections of all others; a rejected message of a group takes
        those behind it along, and none before it.
        """
        rejections: list[Rejection] = []
        blocked = Blocked()
        parcels: list[Parcel] = []
        for index, change in enumerate(changes):
            if index % BREATH == BREATH - 1:
                await anyio.lowlevel.checkpoint()
            group = change.record.group if change.record.ordered else None
            try:
                parcel = self._parcel(change, group, max_bytes)
            except MessageRefusedError as error:
                rejections.append(blocked.reject(change.key, group, str(error)))
            else:
                _take(parcel, parcels, blocked, rejections)
        return await self._lightened(parcels, max_bytes, rejections), rejections

    def _parcel(self, change: Change[Message], group: str | None, max_bytes: int) -> Parcel:
        payload = change.record.payload
        if payload is not None and payload.obstacle:
            raise MessageRefusedError(payload.obstacle)
        parcel = Parcel(change.key, self._mapped(change.record), group, payload)
        if parcel.bytes > max_bytes and self._claims is None:
            raise MessageRefusedError(
                f"the message has up to {parcel.bytes} bytes, and the queue takes {max_bytes}: let the queue take "
                "larger ones (Premium), or have bodies put into blobs with oversize: claim_check"
            )
        return parcel

    def _mapped(self, message: Message) -> Outgoing:
        """Without the body where that is a payload."""
        outgoing = to_servicebus(message, self._rules)
        if message.payload is None and self._s3_buckets is None:
            return outgoing
        pointer = s3_pointer(outgoing.body, outgoing.properties)
        if pointer is None:
            return outgoing if message.payload is None else replace(outgoing, body=b"")
        if message.payload is not None:
            return inlined(outgoing, pointer)
        return rewritten(outgoing, pointer, self._s3_buckets or {})

    async def _lightened(self, parcels: Sequence[Parcel], max_bytes: int, rejections: list[Rejection]) -> list[Parcel]:
        """The parcels with every body that is too large in a blob; adds the rejections of those that cannot be."""
        instead: dict[str, Parcel] = {}
        refused: dict[str, str] = {}

        async def leave(claims: Claims, parcel: Parcel) -> None:
            try:
                instead[parcel.key] = Parcel(parcel.key, await _left(claims, parcel), parcel.group)
            except (MessageRefusedError, ContentRefusedError) as error:
                refused[parcel.key] = str(error)
            except ContentChangedError:
                refused[parcel.key] = CHANGED

        async with anyio.create_task_group() as tasks:
            for parcel in parcels:
                if self._claims is not None and parcel.bytes > max_bytes:
                    tasks.start_soon(leave, self._claims, parcel)
        return without(parcels, instead, refused, rejections)


async def _left(claims: Claims, parcel: Parcel) -> Outgoing:
    if parcel.payload is None:
        return await claims.leave(parcel.message)
    return await claims.leave_payload(parcel.message, parcel.payload)


def _take(parcel: Parcel, going: list[Parcel], blocked: Blocked, rejections: list[Rejection]) -> None:
    rejection = blocked.rejection(parcel.key, parcel.group)
    if rejection is None:
        going.append(parcel)
    else:
        rejections.append(rejection)
