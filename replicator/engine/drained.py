"""Whether a pipeline is drained, and what stands in the way. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from replicator.model import Barriers, Depth, R
from replicator.ports import Source
from replicator.wording import counted


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is judged. Instants are by the source's clock.

    `mark` is the fence, or the last write after it. `through` is the watermark, held back by dead letters, which must
    have passed it where being idle proves time, and be not older than `oldest`: what stands still shows no late write.
    `proven_at` is when the last complete comparison that was clean began, which must be later than `proof_mark`,
    `differences` what the latest has left. `late` were written after the fence, which is no hindrance by itself.
    """

    mark: datetime
    through: datetime | None
    idle_proves: bool
    oldest: datetime
    proven_at: datetime | None
    proof_mark: datetime
    differences: int = 0
    dead_letters: int = 0
    suspects: int = 0
    halted: int = 0
    paused: bool = False
    swept: bool = True
    depth: Depth | None = None
    unfinished: Sequence[str] = ()
    late: int = 0


def settling_s(source: Source[R]) -> float:
    """How long after the last change a drain waits, at least, for the source to show that there was no other: not at
    all for one of which only a comparison shows it.
    """
    return source.settling.total_seconds() if idle_proves(source) else 0.0


def idle_proves(source: Source[R]) -> bool:
    """Whether a source that tells of nothing new shows by that, in time, that there was nothing."""
    return source.barriers is not Barriers.KEYS


def unsettled(e: Evidence) -> list[str]:
    """What stands against a comparison: as long as there is anything, it would only be made again. Pure."""
    found = ["it is paused: resume it"] if e.paused else []
    if not e.swept:
        found.append("the copy is not through")
    if e.depth is not None and e.depth.held:
        found.append(f"{counted(e.depth.messages, 'message is', 'messages are')} held: release the queue")
    elif e.idle_proves and (e.through is None or e.through <= e.mark):
        through = "unknown" if e.through is None else e.through.isoformat()
        found.append(f"replicated through {through}, which has not passed {e.mark.isoformat()}")
    elif e.idle_proves and e.through is not None and e.through < e.oldest:
        found.append(f"replicated through {e.through.isoformat()}, and nothing was read since {e.oldest.isoformat()}")
    if e.dead_letters:
        found.append(counted(e.dead_letters, "dead letter is open", "dead letters are open"))
    if e.suspects:
        found.append(counted(e.suspects, "record has", "records have") + " a request of unknown outcome")
    if e.halted:
        found.append(counted(e.halted, "partition has", "partitions have") + " stopped at a change that was refused")
    return [*found, *e.unfinished]


def in_the_way(e: Evidence) -> list[str]:
    """What stands against saying that it is drained; nothing when it is. Pure."""
    found = unsettled(e)
    if e.differences:
        found.append(counted(e.differences, "record differs", "records differ") + " by the last comparison: repair it")
    elif e.proven_at is None or e.proven_at <= e.proof_mark:
        found.append(f"no clean comparison was begun after {e.proof_mark.isoformat()} and has ended")
    if found and e.late:
        found.insert(0, counted(e.late, "change was", "changes were") + " written after the fence: stop whoever writes")
    return found
