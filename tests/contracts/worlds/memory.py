"""The fake that holds documents."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts.worlds.documents import KEY_NAMES, numbers
from contracts.worlds.sides import LocalClouds, TargetWorld

from fakes.memory import Entry, Fate, MemoryService, MemoryTarget, lost
from fakes.records import delete, document, key_of, upsert
from fakes.targets import open_delivery
from replicator.clocks import elapsed_s, utc_now
from replicator.documents import Document

LIFETIME_S = 0.05


@asynccontextmanager
async def memory(_: LocalClouds) -> AsyncIterator[TargetWorld[Document]]:
    """Nothing waits for a network; whatever is called `refused` is."""
    fates: list[Fate] = []
    service = MemoryService(epoch_s=utc_now().timestamp() - elapsed_s())
    service.fate = lambda kind, _: fates.pop() if fates and kind in {"write", "guarded"} else Fate()
    service.refuses = lambda change: "refused" if change.record.get("id") == "refused" else None

    async def held() -> dict[str, int]:
        ours = [key for key, entry in service.entries.items() if not (entry.foreign or entry.leftover)]
        found = {key: service.visible(key) for key in ours}
        return numbers({key: record for key, record in found.items() if record is not None})

    async def put_foreign(name: str) -> None:
        service.entries[key_of(name)] = Entry(f"f{next(service.etags)}", document(name, 0), foreign=True)

    async def put_leftover(name: str) -> None:
        service.entries[f"once {name}"] = Entry(f"l{next(service.etags)}", document(name, 0), leftover=True)

    def lose_next(lands_s: float | None) -> None:
        fates.append(lost(float("inf") if lands_s is None else lands_s))

    yield TargetWorld(
        MemoryTarget(service, open_delivery(0.03, 8, lifetime_s=LIFETIME_S)), upsert, key_of, held,
        upsert("refused", 1), delete, put_foreign=put_foreign, put_leftover=put_leftover, lose_next=lose_next,
        key_names=KEY_NAMES, lifetime_s=LIFETIME_S,
    )  # fmt: skip
