"""What an S3 source may be told."""

from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from connectors.aws.sqs.options import ReceivingConfig
from connectors.aws.sqs.places import queue_place
from replicator.config import Url


class S3SourceConfig(ReceivingConfig):
    """A general purpose bucket, and the queue that its event notifications come to."""

    rehearsed: ClassVar[tuple[str, ...]] = ("tags",)

    type: Literal["s3"]
    bucket: str = Field(min_length=3, max_length=255, pattern=r"^[A-Za-z0-9._-]+$", description="Name of the bucket.")
    prefix: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="Only objects whose keys begin with this are there for replicator. Default: all.",
    )
    notifications: str | None = Field(
        default=None,
        min_length=1,
        description="Name, ARN or URL of the SQS queue that receives the bucket's event notifications. Nobody else may "
        "receive from it. Default: none, so that changes are found by listing alone.",
    )
    sqs_endpoint: Url | None = Field(
        default=None,
        description="URL of SQS where it differs. Default: `endpoint`, unless that is one of S3 alone, or else AWS.",
    )
    addressing: Literal["auto", "path", "virtual"] = Field(
        default="auto",
        description="Whether the bucket's name is in the path or in the host of a URL. auto: as AWS has it.",
    )
    partitions: int = Field(
        default=16, ge=1, le=1000, description="Ranges of keys that are listed in parallel, at most."
    )
    max_requests_per_s: float = Field(
        default=1000.0,
        gt=0,
        description="Requests per second that copying, following, repair, comparison and checks may send to the "
        "bucket, on average.",
    )
    tags: bool = Field(
        default=True,
        description="Read each object's tags, with one more request. false: objects count as having none.",
    )
    idle_margin_s: float = Field(
        default=300.0,
        ge=0,
        le=3600,
        description="How late a notification is taken to come at most, in seconds: replicated_through trails by it.",
    )
    counts_lag_s: float = Field(
        default=60.0,
        ge=0,
        le=600,
        description="The approximate counts of the queue of notifications are taken to be at most so many seconds old; "
        "replicated_through trails by twice as much, on top of idle_margin_s.",
    )
    relist_interval_s: float | None = Field(
        default=3600.0,
        ge=1,
        description="How often bucket and target are compared by listing while following, in seconds, so that lost "
        "notifications heal. null: never.",
    )

    @property
    def key_prefix(self) -> str:
        """What every key begins with."""
        return self.prefix or ""

    @property
    def queue_endpoint(self) -> str | None:
        """Where SQS is: a private endpoint of S3 serves S3 alone, a local cloud serves everything."""
        host = urlsplit(self.endpoint or "").hostname or ""
        return self.sqs_endpoint or (None if "s3" in host else self.endpoint)

    @property
    def place(self) -> tuple[str, ...]:
        """The queue, which no other pipeline may take from; as that of an SQS source."""
        if self.notifications is None:
            return ()
        return queue_place(self.notifications, self.region)
