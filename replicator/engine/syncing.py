"""Whether a pipeline in mode sync is in sync, or catching up. The rules are pure.

It is in sync until something speaks against that, and then no longer, at once. It is again when nothing has spoken
against it for a while, and everything that was committed before that while began is at the target.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from replicator.status import SyncStatus
from replicator.telemetry import PipelineTelemetry
from replicator.wording import counted


@dataclass(frozen=True, slots=True)
class SyncLimits:
    """`max_lag_s`: no more may be missing at the target. `steady_s`: for so long nothing may have spoken against it."""

    max_lag_s: float = 15.0
    steady_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What speaks for or against it at some instant of the source's clock.

    `replicated_through` is held back by dead letters, None where it is not known. `halted` partitions have stopped at a
    change that was refused; `replaying`, some may be repeating what a crash had cut off. `failed` is for good.
    """

    now: datetime
    replicated_through: datetime | None
    following: bool
    halted: int = 0
    replaying: bool = False
    dead_letters: int = 0
    failed: bool = False


@dataclass(frozen=True, slots=True)
class SyncState:
    """`clear_since`: nothing has spoken against being in sync from then on; None while something does."""

    in_sync: bool
    since: datetime
    reason: str
    clear_since: datetime | None = None

    @property
    def status(self) -> SyncStatus:
        """As it is told."""
        return SyncStatus(state="in_sync" if self.in_sync else "catching_up", since=self.since, reason=self.reason)


def obstacle(seen: Seen, limits: SyncLimits) -> str:
    """What speaks against being in sync; empty when nothing does."""
    if seen.failed:
        return "the pipeline has failed"
    if not seen.following:
        return "the copy is not through"
    if seen.halted:
        return counted(seen.halted, "partition has", "partitions have") + " stopped at a change that was refused"
    if seen.replaying:
        return "what was under way when the last run ended is being repeated"
    if seen.dead_letters:
        return counted(seen.dead_letters, "dead letter is open", "dead letters are open")
    if seen.replicated_through is None:
        return "how far the target is behind is not known"
    lag = seen.now - seen.replicated_through
    if lag > timedelta(seconds=limits.max_lag_s):
        return f"the target is more than {limits.max_lag_s:g} s behind"
    return ""


def next_sync(state: SyncState | None, seen: Seen, limits: SyncLimits) -> SyncState:
    """The state after this was seen; None is that of a process that has just begun, which knows of nothing."""
    against = obstacle(seen, limits)
    if against:
        since = seen.now if state is None or state.in_sync else state.since
        return SyncState(in_sync=False, since=since, reason=against)
    if state is None:
        state = SyncState(in_sync=False, since=seen.now, reason="")
    if state.in_sync:
        return state
    if state.clear_since is None:
        state = replace(state, clear_since=seen.now)
    return _promoted(state, seen, limits)


def _promoted(state: SyncState, seen: Seen, limits: SyncLimits) -> SyncState:
    clear, through = state.clear_since or seen.now, seen.replicated_through
    steady = seen.now - clear >= timedelta(seconds=limits.steady_s)
    if steady and through is not None and through > clear:
        return SyncState(in_sync=True, since=seen.now, reason="")
    return replace(state, reason=f"nothing is missing, but not yet for {limits.steady_s:g} s")


class Syncing:
    """That of one pipeline: looked at again and again, and told when it changes."""

    def __init__(self, limits: SyncLimits, telemetry: PipelineTelemetry) -> None:
        self.state: SyncState | None = None
        self._limits = limits
        self._telemetry = telemetry

    @property
    def in_sync(self) -> bool:
        """Unknown is not."""
        return self.state is not None and self.state.in_sync

    @property
    def status(self) -> SyncStatus | None:
        """As it is told; None before anything was seen, and after the end."""
        return self.state.status if self.state else None

    def look(self, seen: Seen) -> None:
        """Moves on by what is seen now."""
        before, self.state = self.state, next_sync(self.state, seen, self._limits)
        if before is None or before.in_sync is not self.state.in_sync:
            self._tell(self.state)

    def end(self) -> None:
        """Nothing comes to the target any more: it is neither."""
        self.state = None

    def _tell(self, state: SyncState) -> None:
        if state.in_sync:
            self._telemetry.log.info("in sync", since=state.since.isoformat())
        else:
            self._telemetry.log.warning("catching up", since=state.since.isoformat(), reason=state.reason)
