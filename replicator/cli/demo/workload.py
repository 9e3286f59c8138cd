"""What the demo asks of each part of the workload that it migrates."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from replicator.config.models import MigrationConfig
from replicator.engine.comparing import Comparison
from replicator.wording import counted


@dataclass(frozen=True, slots=True)
class Load:
    """How much there is: items, objects and messages of each queue before the daemon starts, and then writes per second
    to the table for `seconds`. Bucket and queues are written to at a tenth of that rate each. One of the objects has
    `large_bytes`.
    """

    items: int
    objects: int
    messages: int
    rate_per_s: float
    seconds: float
    large_bytes: int

    @property
    def slow_rate_per_s(self) -> float:
        """That of bucket and queues."""
        return self.rate_per_s / 10


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of comparing both sides: in words, in numbers, and by `named` examples of what is wrong."""

    is_equal: bool
    verdict: str
    counts: Mapping[str, int]
    named: Sequence[str] = ()


class Workload(Protocol):
    """One pipeline's source at AWS: filled, changed for a while, and compared with its target."""

    @property
    def name(self) -> str:
        """That of its pipeline."""

    @property
    def config(self) -> str:
        """The pipeline's section of the config, as it stands in the file."""

    @property
    def writes(self) -> int:
        """How often it was written to while the daemon ran."""

    async def fill(self) -> str:
        """Fills it, before anything else. In words, what it holds now."""

    async def write(self, for_s: float) -> None:
        """Changes it for so many seconds."""

    async def confirm(self) -> None:
        """Makes sure of what was written, once `write` is over."""

    async def waiting(self) -> int:
        """How many messages still wait to be received or settled at this moment."""

    async def compare(self, migration: MigrationConfig) -> Compared:
        """Both sides at rest. May be asked once: what is in queues is taken out of them."""


def compared_records(found: Comparison, one: str) -> Compared:
    """In words, for records that are called `one` of them each."""
    same = counted(found.equal, f"{one} is", f"{one}s are")
    verdict = (
        f"{same} the same on both sides; {found.different} different, {found.missing} missing, {found.extra} extra, "
        f"{found.foreign} foreign"
    )
    counts: dict[str, Any] = asdict(found)
    named = counts.pop("named")
    return Compared(found.is_equal, verdict, counts, named)
