"""What a trigger at AWS may be told. Loads no SDK."""

from typing import Literal, Self

from pydantic import Field, model_validator

from connectors.aws.config import AwsAccess
from replicator.config import TriggerSideConfig, mistake


class EventSourceMappingConfig(AwsAccess, TriggerSideConfig):
    """What reads a stream or a queue for a function."""

    type: Literal["event_source_mapping"]
    uuid: str | None = Field(default=None, min_length=1, max_length=64, description="UUID of the mapping.")
    function: str | None = Field(
        default=None, min_length=1, max_length=200, description="Name or ARN of the function, instead of the UUID."
    )
    source_arn: str | None = Field(
        default=None, min_length=1, max_length=1024, description="ARN of the stream or queue, beside the function."
    )
    settle_s: float = Field(
        default=120.0,
        gt=0,
        le=3600,
        description="How long it may take until a mapping has been turned off or on, in seconds.",
    )

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        by_uuid, by_function = self.uuid is not None, self.function is not None and self.source_arn is not None
        if by_uuid == by_function or (by_uuid and (self.function or self.source_arn)):
            raise mistake("must be named in one way", "Give it uuid, or else function and source_arn")
        return self


class RuleConfig(AwsAccess, TriggerSideConfig):
    """A rule of EventBridge."""

    type: Literal["rule"]
    name: str = Field(min_length=1, max_length=64, description="Name of the rule.")
    bus: str = Field(default="default", min_length=1, max_length=1600, description="Name or ARN of its event bus.")


class ScheduleConfig(AwsAccess, TriggerSideConfig):
    """A schedule of EventBridge Scheduler."""

    type: Literal["schedule"]
    name: str = Field(min_length=1, max_length=64, description="Name of the schedule.")
    group: str = Field(default="default", min_length=1, max_length=64, description="Name of its group.")


class NotificationConfig(AwsAccess, TriggerSideConfig):
    """One entry of a bucket's notification configuration."""

    type: Literal["s3_notification"]
    bucket: str = Field(min_length=3, max_length=255, pattern=r"^[A-Za-z0-9._-]+$", description="Name of the bucket.")
    id: str = Field(min_length=1, max_length=255, description="Id of the entry.")
