"""The conditions of readiness that are of the migration itself, one function each, as those of pipelines are. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from replicator.config.models import RehearsalConfig
from replicator.cutover.checks import Finding
from replicator.cutover.rehearsal import AHEAD, Rehearsal, age_days, differences


@dataclass(frozen=True, slots=True)
class Whole:
    """All that a migration is judged by beside its pipelines. `fields` are those of its config that a rehearsal must
    have had; `now` is by the daemon's clock; `waived` names checks that need not pass, with the reason.
    """

    demanded: RehearsalConfig
    fields: Mapping[str, str]
    rehearsal: Rehearsal | None
    now: datetime
    waived: Mapping[str, str] = field(default_factory=dict)


def rehearsed(w: Whole) -> Finding | None:
    """The same was done elsewhere, lately, from beginning to end."""
    limit, found = w.demanded.max_age_days, w.rehearsal
    todo = "rehearse the switch and record it: replicator rehearsal record; or say in the config why not"
    if found is None:
        return Finding(False, "none was recorded", f"{limit:g} d", todo)
    if differ := differences(found.fingerprint.fields, w.fields):
        return Finding(False, differ, "the same", todo, at=found.sealed_at)
    age = age_days(found.sealed_at, w.now)
    is_old = age > limit
    return Finding(
        None if w.now + AHEAD < found.sealed_at else not is_old, max(0.0, age), limit, todo, "d", found.sealed_at
    )


def waived(demanded: RehearsalConfig) -> Mapping[str, str]:
    """The checks that need not pass, with the reason. A rehearsal says so: its line may have been copied elsewhere."""
    why = ITSELF if demanded.is_rehearsal else demanded.waived
    return {"rehearsed": why} if why else {}


ITSELF = "this migration is a rehearsal itself, by its config"

WHOLE_CHECKS: Mapping[str, Callable[[Whole], Finding | None]] = {"rehearsed": rehearsed}
"""By name, in the order in which they are told. None is said by one that does not apply to the migration."""
