"""What a Service Bus target may be told."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator

from connectors.azure.config import unsigned
from connectors.azure.servicebus.access import ROOT_KEY_NAME, Access, parse_connection_string
from replicator.config import Frozen, TargetConfig, Url

QueueName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/~-]{0,258}[A-Za-z0-9])?$")]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$")]
ContainerName = Annotated[str, StringConstraints(max_length=63, pattern=r"^[a-z0-9](-?[a-z0-9]){2,62}$")]

LONGEST_WINDOW_S = 604_800.0


class ClaimCheckConfig(Frozen):
    """The container for bodies that are too large for the queue."""

    endpoint: Url = Field(description="URL of the blob service, such as https://account.blob.core.windows.net.")
    container: ContainerName = Field(description="Name of the container.")
    key: SecretStr | None = Field(
        default=None,
        description="Account key; better by ${VARIABLE} than in the file. Default: DefaultAzureCredential.",
    )
    prefix: str | None = Field(
        default=None,
        max_length=256,
        pattern=r"^([A-Za-z0-9_-]+/)+$",
        description="What the names of the blobs begin with: folders, each with a slash behind it. Default: none.",
    )

    @field_validator("endpoint")
    @classmethod
    def _without_signature(cls, endpoint: str) -> str:
        return unsigned(endpoint)


class ServiceBusTargetConfig(TargetConfig):
    """A queue of messages."""

    read_back: ClassVar[str] = (
        "messages that were enqueued since then and that nobody has taken; what consumers took is not there any more"
    )
    rehearsed: ClassVar[tuple[str, ...]] = (
        "sessions", "drop_order", "content_type", "oversize", "s3_pointers", "duplicate_window_s",
    )  # fmt: skip

    type: Literal["servicebus"] = Field(description="Names the connector.")
    queue: QueueName = Field(description="Name of the queue.")
    namespace: Host | None = Field(
        default=None,
        description="Host name of the namespace, such as shop.servicebus.windows.net. Either this or "
        "connection_string is needed.",
    )
    key_name: str = Field(
        default=ROOT_KEY_NAME, min_length=1, description="Name of the shared access policy that key belongs to."
    )
    key: SecretStr | None = Field(
        default=None,
        min_length=1,
        description="Key of that policy; better by ${VARIABLE} than in the file. Default: DefaultAzureCredential.",
    )
    connection_string: SecretStr | None = Field(
        default=None,
        description="Instead of namespace, key_name and key: what the portal shows. UseDevelopmentEmulator=true "
        "connects without TLS.",
    )
    management_endpoint: Url | None = Field(
        default=None,
        description="URL at which the queue's settings are read, and the queue is made. Default: the namespace's; "
        "none with an emulator.",
    )
    websockets: bool = Field(
        default=False, description="AMQP over WebSockets on port 443 instead of AMQP on port 5671; needed for a proxy."
    )
    sessions: bool = Field(
        default=False,
        description="Whether groups become sessions, as the order of a FIFO queue needs. The queue must have been made "
        "so: it cannot be changed.",
    )
    drop_order: bool = Field(
        default=False, description="Take messages of ordered groups although the queue has no sessions."
    )
    senders: int = Field(
        default=4, ge=1, le=64, description="Connections that send. The messages of a group share one of them."
    )
    content_type: str | None = Field(
        default="text/plain; charset=utf-8", max_length=256, description="Content type that messages are given."
    )
    max_message_bytes: int | None = Field(
        default=None,
        ge=1024,
        le=104_857_600,
        description="Bytes above which a message is too large. Default and most: what the queue takes.",
    )
    oversize: Literal["dead_letter", "claim_check"] = Field(
        default="dead_letter", description="What becomes of a message that is too large."
    )
    claim_check: ClaimCheckConfig | None = Field(
        default=None, description="Where oversize: claim_check puts bodies. Default: none."
    )
    s3_pointers: Literal["keep", "rewrite"] = Field(
        default="keep", description="What becomes of messages that an SQS extended client has put into S3."
    )
    s3_buckets: dict[str, Url] = Field(
        default_factory=dict,
        description="For s3_pointers: rewrite, by the name of a bucket the URL of the container that its objects are "
        "replicated to. Default: none.",
    )
    create: bool = Field(default=False, description="Create the queue, and the container of claim_check, if missing.")
    duplicate_window_s: float = Field(
        default=LONGEST_WINDOW_S,
        ge=20,
        le=604_800,
        description="Seconds for which a queue that is created remembers message ids.",
    )

    @property
    def access(self) -> Access:
        """Where the namespace is and what opens it."""
        if self.connection_string is not None:
            return parse_connection_string(self.connection_string.get_secret_value())
        key = self.key.get_secret_value() if self.key is not None else None
        return Access(self.namespace or "", key_name=self.key_name, key=key)

    @property
    def place(self) -> tuple[str, ...]:
        return ("servicebus", self.access.host.lower(), self.queue.lower())

    @property
    def management_url(self) -> str | None:
        """Where the queue's settings can be read; None where there is no such place."""
        if self.management_endpoint is not None or self.access.plain:
            return self.management_endpoint
        return f"https://{self.access.host}"

    @field_validator("s3_buckets")
    @classmethod
    def _without_signatures(cls, containers: dict[str, str]) -> dict[str, str]:
        """They are told to whoever reads the queue."""
        return {bucket: unsigned(url) for bucket, url in containers.items()}

    @field_validator("connection_string")
    @classmethod
    def _usable(cls, text: SecretStr | None) -> SecretStr | None:
        if text is not None:
            parse_connection_string(text.get_secret_value())
        return text

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.namespace is None) == (self.connection_string is None):
            raise ValueError("exactly one of namespace and connection_string must be given")
        if self.connection_string is not None and self.key is not None:
            raise ValueError("connection_string and key exclude each other")
        if self.access.queue not in {None, self.queue}:
            raise ValueError("connection_string is for another queue")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.proxy is not None and not self.websockets:
            raise ValueError("a proxy needs websockets: true")
        if self.websockets and self.access.plain:
            raise ValueError("a connection without TLS (UseDevelopmentEmulator=true) cannot be over websockets")
        if (self.oversize == "claim_check") != (self.claim_check is not None):
            raise ValueError("oversize: claim_check and the section claim_check belong together")
        if (self.s3_pointers == "rewrite") != bool(self.s3_buckets):
            raise ValueError("s3_pointers: rewrite and s3_buckets belong together")
        if self.sessions and self.drop_order:
            raise ValueError("sessions keep order, so drop_order makes no sense with them")
        return self
