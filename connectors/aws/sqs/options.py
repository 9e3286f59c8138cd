"""What every source that receives from a queue may be told about it."""

from pydantic import Field

from connectors.aws.config import AwsSourceConfig


class ReceivingConfig(AwsSourceConfig):
    """A source that takes messages, or notifications, from an SQS queue."""

    receivers: int = Field(default=4, ge=1, le=100, description="Receives under way at once.")
    wait_s: int = Field(
        default=5,
        ge=1,
        le=20,
        description="A receive waits so many seconds for messages. A stop waits for the receives under way.",
    )
    visibility_timeout_s: int = Field(
        default=60,
        ge=3,
        le=3600,
        description="Seconds for which a message that was received stays invisible to others. Extended at a third of "
        "it while the target has not confirmed the message; after a crash, messages come again when it is over.",
    )
