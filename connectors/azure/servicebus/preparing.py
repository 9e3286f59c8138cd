"""What is sent for changes: mapped, and with large bodies left in blobs. What cannot go is rejected with its reason."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import anyio
import anyio.lowlevel

from connectors.azure.servicebus.claims import Claims
from connectors.azure.servicebus.mapping import MappingRules, MessageRefusedError, Outgoing, to_servicebus
from connectors.azure.servicebus.pointers import rewritten, s3_pointer
from connectors.azure.servicebus.sending import Blocked, Parcel
from replicator.messages import Message
from replicator.model import Change, Rejection

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
                parcel = Parcel(change.key, self._mapped(change.record, max_bytes), group)
            except MessageRefusedError as error:
                rejections.append(blocked.reject(change.key, group, str(error)))
            else:
                _take(parcel, parcels, blocked, rejections)
        return await self._lightened(parcels, max_bytes, rejections), rejections

    def _mapped(self, message: Message, max_bytes: int) -> Outgoing:
        outgoing = to_servicebus(message, self._rules)
        if self._s3_buckets is not None and (pointer := s3_pointer(outgoing)):
            outgoing = rewritten(outgoing, pointer, self._s3_buckets)
        if outgoing.bytes > max_bytes and self._claims is None:
            raise MessageRefusedError(
                f"the message has up to {outgoing.bytes} bytes, and the queue takes {max_bytes}: let the queue take "
                "larger ones (Premium), or have bodies put into blobs with oversize: claim_check"
            )
        return outgoing

    async def _lightened(self, parcels: Sequence[Parcel], max_bytes: int, rejections: list[Rejection]) -> list[Parcel]:
        """The parcels with every body that is too large in a blob; adds the rejections of those that cannot be."""
        instead: dict[str, Outgoing] = {}
        refused: dict[str, str] = {}

        async def leave(claims: Claims, parcel: Parcel) -> None:
            try:
                instead[parcel.key] = await claims.leave(parcel.message)
            except MessageRefusedError as error:
                refused[parcel.key] = str(error)

        async with anyio.create_task_group() as tasks:
            for parcel in parcels:
                if self._claims is not None and parcel.message.bytes > max_bytes:
                    tasks.start_soon(leave, self._claims, parcel)
        going: list[Parcel] = []
        blocked = Blocked()
        for parcel in parcels:
            if parcel.key in refused:
                rejections.append(blocked.reject(parcel.key, parcel.group, refused[parcel.key]))
            else:
                message = instead.get(parcel.key, parcel.message)
                _take(replace(parcel, message=message), going, blocked, rejections)
        return going


def _take(parcel: Parcel, going: list[Parcel], blocked: Blocked, rejections: list[Rejection]) -> None:
    rejection = blocked.rejection(parcel.key, parcel.group)
    if rejection is None:
        going.append(parcel)
    else:
        rejections.append(rejection)
