"""How the demo went, for people and for machines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from replicator.cli.demo.daemon import Followed
from replicator.cli.demo.room import LOG
from replicator.cli.demo.workload import Compared

TOLD = ("copied", "copied_bytes", "applied", "dead_letters")
"""What of the last status is in the JSON."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """One pipeline: how often its source was written to while the daemon ran, how that was followed, and what was found
    at the end.
    """

    writes: int
    followed: Followed
    found: Compared

    @property
    def is_good(self) -> bool:
        """Whether the daemon has done its job; the sides may be equal by chance before it has."""
        return self.followed.caught_up and self.found.is_equal

    def verdict(self, name: str) -> list[str]:
        """For people."""
        seconds = self.followed.catch_up_s
        speed = f"caught up in {seconds:.1f} s" if self.followed.caught_up else f"NOT CAUGHT UP within {seconds:g} s"
        word = "EQUAL" if self.found.is_equal else "NOT EQUAL"
        return [f"{name}: {word}, {self.found.verdict}; {speed}", *(f"  {line}" for line in self.found.named)]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        last = self.followed.last
        return {
            **self.found.counts,
            "named": list(self.found.named),
            "is_equal": self.found.is_equal,
            "caught_up": self.followed.caught_up,
            "writes": self.writes,
            **{name: getattr(last, name, None) for name in TOLD},
            "catch_up_s": round(self.followed.catch_up_s, 2),
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """All pipelines by name, and the most memory that the daemon has had."""

    pipelines: Mapping[str, Migrated]
    peak_resident_bytes: int

    @property
    def is_equal(self) -> bool:
        """Whether all that was to be on the other side is there, and nothing else."""
        return all(migrated.found.is_equal for migrated in self.pipelines.values())

    @property
    def caught_up(self) -> bool:
        """Whether the daemon says so of every pipeline."""
        return all(migrated.followed.caught_up for migrated in self.pipelines.values())

    @property
    def is_good(self) -> bool:
        """Whether the demo is a success."""
        return self.is_equal and self.caught_up

    @property
    def catch_up_s(self) -> float:
        """That of the last pipeline, in seconds."""
        return max(migrated.followed.catch_up_s for migrated in self.pipelines.values())

    @property
    def verdict(self) -> list[str]:
        """For people: a line for each pipeline, and the last one for all."""
        lines = [line for name, migrated in self.pipelines.items() for line in migrated.verdict(name)]
        if self.caught_up:
            speed = f"Caught up in {self.catch_up_s:.1f} s"
        else:
            speed = f"NOT CAUGHT UP within {self.catch_up_s:g} s; the log is {LOG}"
        word = "EQUAL: everything is" if self.is_equal else "NOT EQUAL: not everything is"
        return [*lines, f"{word} on the other side. {speed}, daemon at most {self.peak_resident_bytes / 1e6:.0f} MB"]

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "equal": self.is_equal,
            "caught_up": self.caught_up,
            "catch_up_s": round(self.catch_up_s, 2),
            "peak_resident_bytes": self.peak_resident_bytes,
            "pipelines": {name: migrated.as_json() for name, migrated in self.pipelines.items()},
        }
