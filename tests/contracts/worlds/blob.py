"""A container of blobs, in Azurite."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.worlds.sides import LocalClouds, TargetWorld

from fakes import blobs as fakes
from fakes.objects import gone, put
from replicator.model import Change
from replicator.objects import StoredObject
from sandbox.faults import FaultProxy
from sandbox.faults.rules import CutBefore, HoldDelivery

LIFETIME_S = 0.5
TOO_LONG = {"text": "x" * 9000}
"""As metadata: a blob takes 8 KiB of it."""


@asynccontextmanager
async def blob(clouds: LocalClouds) -> AsyncIterator[TargetWorld[StoredObject]]:
    """The real target and the real SDK, through a proxy that loses answers; an object's content is its number."""
    server = clouds.azurite()
    async with (
        FaultProxy("127.0.0.1", server.port) as proxy,
        fakes.bench(
            server,
            to=f"{proxy.endpoint}/{server.account_name}",
            lifetime_s=LIFETIME_S,
            timeout_s=LIFETIME_S / 2,
        ) as bench,
    ):

        async def held() -> dict[str, int]:
            return {name: int(content) for name, content in (await bench.held()).items() if content != b"theirs"}

        async def put_foreign(name: str) -> None:
            await bench.container.upload_blob(name, b"theirs", overwrite=True)

        def lose_next(lands_s: float | None) -> None:
            for method in ("PUT", "DELETE"):
                proxy.inject(CutBefore() if lands_s is None else HoldDelivery(seconds=lands_s), method=method, count=1)

        yield TargetWorld(
            bench.target, upsert, str, held, put("refused", b"1", "1", metadata=TOO_LONG), gone,
            put_foreign=put_foreign, lose_next=lose_next, lifetime_s=LIFETIME_S,
        )  # fmt: skip


def upsert(name: str, number: int) -> Change[StoredObject]:
    """The change that brings an object to this state."""
    return put(name, str(number).encode(), str(number))
