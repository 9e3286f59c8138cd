"""What replicas tell each other, and how it is written."""

from typing import Generic, TypeVar

from pydantic import TypeAdapter

from replicator.engine.placing import Assignment
from replicator.model import Budgets, Checkpoint, DeadLetter, Rejection
from replicator.telemetry import Report

T = TypeVar("T")

VERSION = 1
"""Of what is told, raised when it changes: replicas of different versions do not work together."""


class Written(Generic[T]):
    """One kind of value as JSON."""

    def __init__(self, kind: type[T]) -> None:
        self._adapter = TypeAdapter(kind)

    def write(self, value: T) -> object:
        """What `json` can write."""
        return self._adapter.dump_python(value, mode="json")

    def read(self, value: object) -> T:
        """Raises ValueError for what was not written by `write`."""
        return self._adapter.validate_python(value)


ASSIGNMENT = Written(Assignment)
CHECKPOINT = Written(Checkpoint)
REJECTIONS = Written(list[Rejection])
LETTERS = Written(list[DeadLetter])
REPORTS = Written(dict[str, Report])
SHARES = Written(dict[str, Budgets])
