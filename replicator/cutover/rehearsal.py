"""A rehearsal of the switch: what its report claims, whether that counts for a config, and what is kept of it. Pure."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import Field

from replicator.cutover.fingerprint import Fingerprint, differing, digest
from replicator.cutover.switched import Stage
from replicator.model import Mode
from replicator.status import Instant, Part

NOTE = "rehearsal"
EVERYWHERE = ""
"""It is a note of no pipeline."""

MOST_NAMED = 10
"""Fields that are told where they differ."""

AHEAD = timedelta(minutes=5)
"""So far may the clocks of two machines differ."""


class End(Part):
    """How a pipeline ended. `late` counts writes after the seal, None where nobody has looked; `records` all that were
    copied or applied, None where nobody has counted.
    """

    sealed_at: Instant | None
    drained_at: Instant | None
    late: int | None
    records: int | None = None


class Claim(Part):
    """What the report of a rehearsal says of it. `pause_s` is how long triggers of both sides were off."""

    migration: str = Field(max_length=100)
    migration_id: str = Field(max_length=100)
    fingerprint: Fingerprint
    stage: str | None = Field(max_length=100)
    by: str = Field(max_length=200)
    began_at: Instant | None
    sealed_at: Instant | None
    pause_s: float | None
    pipelines: dict[str, End]


class Rehearsal(Part):
    """One that was recorded; it counted then."""

    migration: str
    migration_id: str
    fingerprint: Fingerprint
    by: str
    sealed_at: Instant
    pause_s: float | None
    recorded_at: Instant
    recorded_by: str


def against(claim: Claim, fields: Mapping[str, str], now: datetime, max_age_days: float) -> list[str]:
    """Why it does not count for a config with these fields; nothing where it does."""
    return [
        *_of_the_config(claim, fields),
        *_of_the_end(claim, _switched(fields)),
        *_of_its_age(claim.sealed_at, now, max_age_days),
    ]


def age_days(sealed_at: datetime, now: datetime) -> float:
    """How old it is; less than 0 for one of the future."""
    return (now - sealed_at) / timedelta(days=1)


def differences(rehearsed: Mapping[str, str], fields: Mapping[str, str]) -> str:
    """The fields that differ, in words; empty where none does."""
    found = differing(rehearsed, fields)
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"another config was rehearsed, which differs in {', '.join(found[:MOST_NAMED])}{more}" if found else ""


def _of_the_config(claim: Claim, fields: Mapping[str, str]) -> Iterator[str]:
    if digest(claim.fingerprint.fields) != claim.fingerprint.sha256:
        yield "its fingerprint is not that of the fields it names, so the report was changed"
    if differ := differences(claim.fingerprint.fields, fields):
        yield differ


def _switched(fields: Mapping[str, str]) -> list[str]:
    """The pipelines that a switch seals: all but those that are copied once."""
    modes = {path.split(".")[1]: json.loads(mode) for path, mode in fields.items() if _MODE.fullmatch(path)}
    return [name for name, mode in modes.items() if mode != Mode.COPY]


_MODE = re.compile(r"pipelines\.[^.]+\.mode")


def _of_the_end(claim: Claim, switched: Sequence[str]) -> Iterator[str]:
    if claim.stage != Stage.DONE:
        yield "it was not sealed by a switch" if claim.stage is None else f"its switch is {claim.stage}, not done"
    if claim.sealed_at is None:
        yield "it is not sealed"
    unsealed = [name for name in switched if name not in claim.pipelines or claim.pipelines[name].sealed_at is None]
    yield from (f"{name} was not sealed" for name in unsealed)
    for name, end in claim.pipelines.items():
        if end.sealed_at is not None and end.drained_at is None:
            yield f"{name} was sealed by force, without proof"
        if end.late is None:
            yield f"{name}: nobody has looked for late writes"
        elif end.late:
            yield f"{name} had {end.late} late writes after the seal"
        if end.records is None:
            yield f"{name}: nobody has counted what was moved"
        elif not end.records:
            yield f"{name} has moved no record, so nothing of it was rehearsed: put some into its source"


def _of_its_age(sealed_at: datetime | None, now: datetime, max_age_days: float) -> Iterator[str]:
    if sealed_at is None:
        return
    age = age_days(sealed_at, now)
    if age > max_age_days:
        yield f"it is {age:.1f} days old, and at most {max_age_days:g} count"
    if now + AHEAD < sealed_at:
        yield "it was sealed in the future: compare the clocks of both machines"
