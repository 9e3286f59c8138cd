"""The conditions of readiness, one function each. Pure.

Each says True, False or, where it is not known or the evidence is too old, None; and what was measured against which
limit. Comparisons are written so that what is no number fails. Evidence ages until it is asked for: `Evidence.age_s` is
added wherever time makes things worse.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from replicator.cutover.demands import DEPTH_MAX_AGE_S, TRIGGERS_MAX_AGE_S, Demands
from replicator.cutover.steady import Steady
from replicator.model import CopyStage, Phase
from replicator.status import PipelineStatus


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a pipeline is judged by: its latest status, what those before it have shown, and the moment `now`."""

    status: PipelineStatus
    steady: Steady
    now: float
    demands: Demands

    @property
    def age_s(self) -> float:
        """How long ago the snapshot was begun."""
        return self.now - self.steady.seen_at

    @property
    def held(self) -> bool:
        """Whether the source is a queue that is only watched."""
        return self.status.queue is not None and self.status.queue.held

    @property
    def lag_s(self) -> float | None:
        """At the moment of the answer, at most."""
        return None if self.status.lag_s is None else self.status.lag_s + self.age_s

    @property
    def depth_age_s(self) -> float | None:
        """How long ago a source that is a queue told its depth; None where that is not known."""
        depth = self.status.queue
        return None if depth is None or depth.age_s is None else depth.age_s + self.age_s

    def since_s(self, moment: datetime | None) -> float | None:
        """How long ago an instant of the source's clock was, at most; None where its clock is not known, or where the
        instant would be in the future, of another clock then.
        """
        if moment is None or self.status.source_time is None:
            return None
        age = self.status.source_time + timedelta(seconds=self.age_s) - moment
        return age.total_seconds() if age >= timedelta(0) else None


Measured = float | int | str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found: None is unknown. `todo` helps where it is not fine.

    `at` is when that was, None for when the snapshot was taken.
    """

    fine: bool | None
    measured: Measured
    limit: Measured
    todo: str
    unit: str = ""
    at: datetime | None = None


def watched(e: Evidence) -> Finding:
    """A snapshot was taken just now."""
    fresh = 0 <= e.age_s <= e.demands.max_gap_s
    todo = "the daemon has not looked at its pipelines for a while: see its log, its state store's disk and its CPU"
    return Finding(fresh or None, e.age_s, e.demands.max_gap_s, todo, "s")


def copied(e: Evidence) -> Finding:
    """Everything is copied, the watermark has passed that, and nothing of the copy is left at the target."""
    status = e.status
    follows = status.phase in {Phase.FOLLOWING, Phase.DRAINING}
    fine = follows and status.copy_stage == CopyStage.SWEPT and not status.repairing
    todo = "wait until the copy is finished"
    if status.phase == Phase.FAILED:
        todo = f"the pipeline has failed, see docs/recovery.md: {status.failure}"
    elif status.phase == Phase.SEALED:
        todo = "it is sealed: its replication has ended for good"
    elif status.phase == Phase.COPIED:
        todo = "mode copy follows nothing, so what has changed since is not known to be there: use mode async"
    return Finding(fine, f"{status.phase}, {status.copy_stage}", f"{Phase.FOLLOWING}, {CopyStage.SWEPT}", todo)


def partitions(e: Evidence) -> Finding:
    """Every partition that may be read has been, and all of them together tell the time."""
    unread = e.status.unread
    known = e.held or e.status.stream_lag_s is not None
    fine = None if unread is None or (unread == 0 and not known) else unread == 0
    todo = "wait until every partition has been read from; if it lasts, the source does not answer: see degraded"
    return Finding(fine, unread, 0, todo)


def lease(e: Evidence) -> Finding:
    """The daemon may write, and nobody else."""
    left_s = None if e.status.lease_left_s is None else e.status.lease_left_s - e.age_s
    todo = "the lease is not renewed in time: look at the state store's disk"
    return Finding(None if left_s is None else left_s > 0, left_s, 0, todo, "s")


def queue(e: Evidence) -> Finding | None:
    """A queue that is held is watched: what waits there is known, and goes with the drain."""
    depth = e.status.queue
    if depth is None or not depth.held:
        return None
    age_s = e.depth_age_s
    fine = age_s is not None and age_s <= DEPTH_MAX_AGE_S
    waiting = f"{depth.messages} held, {'age unknown' if age_s is None else f'{age_s:.0f} s ago'}"
    return Finding(fine or None, waiting, f"{DEPTH_MAX_AGE_S:.0f} s ago", "the queue does not answer: see degraded")


def lag(e: Evidence) -> Finding | None:
    """All but the latest changes are at the target."""
    if e.held:
        return None
    lag_s, limit = e.lag_s, e.demands.max_lag_s
    todo = "wait until it has caught up, or raise cutover.max_lag_s above what the source's margins take"
    return Finding(None if lag_s is None else lag_s <= limit, lag_s, limit, todo, "s")


def steady(e: Evidence) -> Finding | None:
    """And have been all the time."""
    if e.held:
        return None
    since = e.steady.in_lag_since
    for_s = 0.0 if since is None else e.now - since
    fine = None if e.status.lag_s is None else since is not None and for_s >= e.demands.steady_s
    todo = "wait until the lag has been under its limit for so long, seen without a gap since the daemon's start"
    return Finding(fine, for_s, e.demands.steady_s, todo, "s")


def dead_letters(e: Evidence) -> Finding:
    """No change was refused for good."""
    todo = "replicator dead-letters list says why; mend the records and retry them"
    return Finding(e.status.dead_letters == 0, e.status.dead_letters, 0, todo)


def suspect_keys(e: Evidence) -> Finding:
    """No request is in doubt."""
    todo = "wait for limits.request_lifetime_s; if it lasts, requests to the target keep getting lost"
    return Finding(e.status.suspect_keys == 0, e.status.suspect_keys, 0, todo)


def late_records(e: Evidence) -> Finding:
    """The source has kept what its margins promise."""
    todo = "wait; if it comes back, raise the source's idle_margin_s: its records come later than that"
    return _quiet_for(e, e.steady.punctual_since, todo)


def throttling(e: Evidence) -> Finding:
    """The target has room."""
    return _quiet_for(e, e.steady.unthrottled_since, "wait, or give the target more capacity: it refuses requests")


def _quiet_for(e: Evidence, since: float, todo: str) -> Finding:
    for_s = e.now - since
    if since == e.steady.watched_since:  # it may never have happened
        todo = "wait until the daemon has been at work for so long, without a gap"
    return Finding(for_s >= e.demands.steady_s, for_s, e.demands.steady_s, todo, "s")


def retention(e: Evidence) -> Finding:
    """Nothing unread is about to be forgotten by the source."""
    limit = e.demands.min_retention_headroom_s
    if e.status.kept_for_ever:
        return Finding(fine=True, measured="for ever", limit=limit, todo="")
    headroom_s = e.status.retention_headroom_s
    left_s = None if headroom_s is None else headroom_s - e.age_s
    todo = "catch up, or let the queue keep its messages longer; unknown while the source does not tell an age"
    return Finding(None if left_s is None else left_s >= limit, left_s, limit, todo, "s")


def paused(e: Evidence) -> Finding:
    """It is at work."""
    said = "paused" if e.status.paused else "running"
    return Finding(not e.status.paused, said, "running", "resume the pipeline")


def health(e: Evidence) -> Finding:
    """Nothing needs anybody's attention."""
    found = [*e.status.problems, *(f"{side} is failing" for side in e.status.degraded if not e.status.problems)]
    return Finding(not found, "; ".join(found), "", "mend what is named")


def verification(e: Evidence) -> Finding:
    """Both sides were compared lately, and are equal."""
    found, limit = e.status.verification, e.demands.verification_max_age_s
    todo = "let a verification come to its end, and repair what differs"
    age_s = None if found is None else e.since_s(found.began_at)
    if found is None or found.ended_at is None or age_s is None:
        fine = False if found is not None and found.differences else None
        return Finding(fine, None, limit, todo, "s")
    measured = f"{found.differences} different, {found.unsettled} unsettled, begun {age_s:.0f} s ago"
    fine = True if age_s <= limit and found.unsettled == 0 else None
    return Finding(False if found.differences != 0 else fine, measured, limit, todo, "s", found.began_at)


def foreign(e: Evidence) -> Finding:
    """Nobody else writes the target."""
    found, limit = e.status.foreign, e.demands.foreign_max_age_s
    todo = "find out who writes the target, stop that, and repair; or wait for a scan to come to its end"
    age_s = None if found is None else e.since_s(found.scanned_at)
    if found is None or age_s is None:
        return Finding(False if found is not None and found.found else None, None, limit, todo, "s")
    measured = f"{found.found} found, scan begun {age_s:.0f} s ago"
    fine = True if age_s <= limit else None
    return Finding(False if found.found != 0 else fine, measured, limit, todo, "s", found.scanned_at)


def sync(e: Evidence) -> Finding | None:
    """A pipeline in mode sync is in sync."""
    if e.held:
        return None
    found = e.status.sync
    if found is None:
        return Finding(None, None, "in_sync", "wait until it is known") if e.demands.sync else None
    measured = found.state if found.state == "in_sync" else f"{found.state}: {found.reason}"
    return Finding(found.state == "in_sync", measured, "in_sync", "wait until it has caught up", at=found.since)


def azure_triggers_off(e: Evidence) -> Finding | None:
    """What is replicated fires nothing: each Azure trigger that reads the target is off."""
    found = e.status.azure_triggers
    if not e.demands.azure_triggers and found is None:
        return None
    todo = "turn it off, or sign it off: replicator triggers status says what is known, and why not"
    if found is None or found.age_s is None:
        return Finding(None, None, "off", todo)
    age_s = found.age_s + e.age_s
    named = [f"{name} on" for name in found.on] + [f"{name} unknown" for name in found.unknown]
    fine = True if age_s <= TRIGGERS_MAX_AGE_S and not found.unknown else None
    return Finding(False if found.on else fine, f"{', '.join(named) or 'off'}, {age_s:.0f} s ago", "off", todo)


CHECKS: Mapping[str, Callable[[Evidence], Finding | None]] = {
    rule.__name__: rule
    for rule in (
        watched, copied, partitions, lease, queue, lag, steady, dead_letters, suspect_keys, late_records, throttling,
        retention, paused, health, verification, foreign, sync,
        azure_triggers_off,
    )
}  # fmt: skip
"""By name, in the order in which they are told. None is said by one that does not apply to the pipeline."""
