"""What an SQS source may be told."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from connectors.aws.sqs.options import ReceivingConfig
from connectors.aws.sqs.places import queue_place
from replicator.config import Url

BucketName = Annotated[str, StringConstraints(min_length=3, max_length=255, pattern=r"^[A-Za-z0-9._-]+$")]


class SqsSourceConfig(ReceivingConfig):
    """A queue, and how its messages may be taken."""

    rehearsed: ClassVar[tuple[str, ...]] = ("consume", "s3_pointers")

    type: Literal["sqs"]
    queue: str = Field(min_length=1, max_length=2048, description="Name, ARN or URL of the queue.")
    consume: Literal["hold", "mirror", "forward"] = Field(
        default="hold",
        description="hold: receive nothing, only watch, until the migration drains. mirror: receive all the time from "
        "a queue that nobody else consumes. forward: receive all the time instead of the functions, none of which may "
        "be triggered by the queue.",
    )
    idle_margin_s: float = Field(
        default=10.0,
        ge=0,
        le=600,
        description="A message that can be received is taken to be received within so many seconds, and none to "
        "overtake another by more; replicated_through trails by it.",
    )
    counts_lag_s: float = Field(
        default=60.0,
        ge=0,
        le=600,
        description="The queue's approximate counts are taken to be at most so many seconds old; replicated_through "
        "trails by up to twice as much, and the queue is taken to be empty when it was found so for so long.",
    )

    s3_pointers: Literal["keep", "inline"] = Field(
        default="keep",
        description="What becomes of messages whose body an SQS extended client has put into S3. keep: they are "
        "delivered as they are. inline: with what is in S3 as their body.",
    )
    s3_buckets: list[BucketName] = Field(
        default_factory=list,
        description="For s3_pointers: inline, the buckets that bodies may be read from. Default: none.",
    )
    s3_endpoint: Url | None = Field(
        default=None,
        description="URL of S3 where it differs. Default: `endpoint`, unless that is one of SQS alone, or else AWS.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.s3_pointers == "inline") != bool(self.s3_buckets):
            raise ValueError("s3_pointers: inline and s3_buckets belong together")
        return self

    @property
    def place(self) -> tuple[str, ...]:
        return queue_place(self.queue, self.region)
