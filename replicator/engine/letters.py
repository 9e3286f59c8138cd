"""Dead letters as they are told to people, who name them as they were told."""

from collections.abc import Sequence
from dataclasses import replace

from replicator.model import DeadLetter, Payload
from replicator.naming import Naming
from replicator.ports import StateStore

SEARCHED_AT_ONCE = 1000


class Letters:
    """The open dead letters of a migration."""

    def __init__(self, store: StateStore, naming: Naming) -> None:
        self._store = store
        self._naming = naming

    async def page(self, pipeline: str | None, limit: int, after: str | None) -> list[DeadLetter]:
        """As `StateStore.dead_letters`, named, and without payloads."""
        behind = None if after is None else await self._place(after)
        return [self.named(letter) for letter in await self._store.dead_letters(pipeline, limit, behind)]

    def named(self, letter: DeadLetter) -> DeadLetter:
        """As it is told. Its payload is told only to whoever asks for it."""
        return replace(
            letter,
            key=self._naming.key(letter.key),
            partition=self._naming.partition(letter.partition),
            reason=self._naming.text(letter.reason, [letter.key]),
            payload=Payload(),
        )

    async def keys(self, pipeline: str, names: Sequence[str]) -> dict[str, str]:
        """The key of each name; whatever is none of ours stands for itself."""
        found = {name: self._naming.remembered(name) or name for name in names}
        if self._naming.hides and (sought := {name for name, key in found.items() if name == key}):
            found |= await self._search(pipeline, sought)
        return found

    async def _search(self, pipeline: str, names: set[str]) -> dict[str, str]:
        """By naming each open one: names cannot be undone."""
        found: dict[str, str] = {}
        after: str | None = None
        while page := await self._store.dead_letters(pipeline, SEARCHED_AT_ONCE, after):
            after = page[-1].place
            found |= {name: d.key for d in page if (name := self._naming.key(d.key)) in names}
        return found

    async def _place(self, told: str) -> str:
        """Where a place is that was told by name. One that is gone and forgotten is taken for the first of its moment:
        some are listed again, and none is left out.
        """
        parts = told.split(" ", 2)
        if not self._naming.hides or len(parts) < len(("first_seen", "pipeline", "key")):
            return told
        first_seen, pipeline, name = parts
        key = (await self.keys(pipeline, [name]))[name]
        return f"{first_seen} {pipeline} {'' if key == name else key}"
