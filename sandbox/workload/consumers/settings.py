"""Where the programs find what they write and work on. Credentials are in the environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Sequence

AWS, AZURE, NOWHERE = "aws", "azure", "nowhere"

EVENT = "event"
"""The attribute of an item, and the member of a document or a message, that holds an event's id."""


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Self:
        """From the file that the command line names."""
        from pathlib import Path  # noqa: PLC0415

        return cls.model_validate_json(Path(arguments[1]).read_bytes())


class QueueFunction(_Plain):
    """A function that a queue triggers through the event source mapping `mapping`."""

    kind: str
    url: str
    mapping: str


class LambdaSettings(_Plain):
    """Functions at AWS. What is empty there is none of.

    `stream` is an ARN and `stream_mapping` the UUID of its mapping; `uploads` the URL of the queue to which the bucket
    tells what the function is invoked for, as that of Lambda's asynchronous invocations; `rule` and `schedule` name
    what ticks every `tick_s`. A message takes `work_s`.
    """

    endpoint: str
    journal: Path
    checkpoints: Path
    stream: str = ""
    stream_mapping: str = ""
    queues: list[QueueFunction] = []
    uploads: str = ""
    rule: str = ""
    schedule: str = ""
    tick_s: float = 0.5
    work_s: float = 0.01


class FunctionsSettings(_Plain):
    """A function app. Its functions by their names: `orders` reads the change feed of the container, `uploads` is told
    of blobs, `queues` are by queue, `timer` ticks. What is empty there is none of.

    The application setting `<function>_FROM` says from when on changes and blobs trigger it, as an instant in ISO 8601;
    without it that is when the function is first seen to be on.
    """

    arm: str
    token: str
    app: str
    journal: Path
    leases: Path
    cosmos: str = ""
    database: str = ""
    container: str = ""
    orders: str = ""
    blobs: str = ""
    uploads: str = ""
    queues: dict[str, str] = {}
    timer: str = ""
    tick_s: float = 0.5
    work_s: float = 0.01


class Sending(_Plain):
    """Where messages of a kind are sent: a queue's URL or a topic's ARN at AWS, a queue's name at Azure."""

    kind: str
    queue: str = ""
    topic: str = ""
    at_azure: str


class ApplicationSettings(_Plain):
    """What writes, where the file `traffic` says: `aws`, `azure` or `nowhere`. See `traffic`.

    `name` begins the ids of its events. With `daemon`, the URL of one, each write to the table waits until both clouds
    have it.
    """

    name: str
    journal: Path
    traffic: Path
    rate_per_s: float
    endpoint: str
    table: str
    bucket: str
    sendings: list[Sending]
    daemon: str = ""
    cosmos: str = ""
    database: str = ""
    container: str = ""
    blobs: str = ""
