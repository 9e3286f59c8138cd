"""Looks at triggers, several at once. What cannot be looked at is known by what was done last, or by a sign-off."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import anyio

from replicator.errors import ConfigurationError
from replicator.ports import Trigger
from replicator.triggers.model import Place, TriggerState
from replicator.triggers.note import Note

MOST_LOOKS = 8
"""Triggers that are looked at, at once, while a step is taken."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A trigger that can be reached, and the pipeline whose target it reads, empty for none."""

    trigger: Trigger
    pipeline: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look has found, begun at this moment of `elapsed_s`. None with the reason where it failed."""

    state: TriggerState | None
    at: float
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """A trigger as it was found, or as it was said to be: `blind` where nobody can look at it.

    `failure` is why it could not be looked at just now.
    """

    state: TriggerState
    blind: bool
    failure: ConfigurationError | None = None


UNKNOWN = Look(TriggerState(None), blind=False)


async def look(place: Place, trigger: Trigger, note: Note) -> Look:
    """As it is, or else as it was said to be. Raises ConfigurationError where it cannot be looked at."""
    state = await trigger.observe()
    signed = note.signed.get(str(place))
    if state.enabled is not None or signed is None:
        return Look(state, blind=state.enabled is None)
    said = f"by {signed.who}, {signed.at:%Y-%m-%d %H:%M:%S} UTC"
    return Look(replace(state, enabled=signed.enabled, detail=said), blind=True)


async def look_at(opened: Mapping[Place, Opened], note: Note) -> dict[Place, Look]:
    """Each of them, in their order; one that fails does not hide the others."""
    room = anyio.CapacityLimiter(MOST_LOOKS)
    found: dict[Place, Look] = dict.fromkeys(opened, UNKNOWN)

    async def one(place: Place) -> None:
        async with room:
            try:
                found[place] = await look(place, opened[place].trigger, note)
            except ConfigurationError as error:
                found[place] = replace(UNKNOWN, failure=error)

    async with anyio.create_task_group() as tasks:
        for place in opened:
            tasks.start_soon(one, place)
    return found


def require(looks: dict[Place, Look]) -> dict[Place, Look]:
    """The same. Raises ConfigurationError for the first of them that could not be looked at."""
    for found in looks.values():
        if found.failure is not None:
            raise found.failure
    return looks
