"""What is used of botocore's clients, so that a fake need not have more.

botocore makes their methods from data files at run time. Parameters and answers are as the services document them.
"""

from typing import Any, Protocol

from connectors.aws.calls import Response


class Meta(Protocol):
    """What a client knows of itself."""

    @property
    def endpoint_url(self) -> str:
        """Where its requests go."""


class ItemsClient(Protocol):
    """The part of the client of `dynamodb` that gives single items."""

    async def batch_get_item(self, **parameters: Any) -> Response:
        """What is under up to 100 keys."""


class TableClient(ItemsClient, Protocol):
    """The client of `dynamodb`."""

    @property
    def meta(self) -> Meta:
        """Of this client."""

    async def describe_table(self, **parameters: Any) -> Response:
        """Keys, stream, capacity and size of a table."""

    async def describe_time_to_live(self, **parameters: Any) -> Response:
        """Whether items expire, and by which attribute."""

    async def scan(self, **parameters: Any) -> Response:
        """A page of a table or of a segment of it."""


class StreamsClient(Protocol):
    """The client of `dynamodbstreams`."""

    @property
    def meta(self) -> Meta:
        """Of this client."""

    async def describe_stream(self, **parameters: Any) -> Response:
        """A page of the shards of a stream."""

    async def get_shard_iterator(self, **parameters: Any) -> Response:
        """A place in a shard, to read from."""

    async def get_records(self, **parameters: Any) -> Response:
        """A page of a shard."""


class LambdaClient(Protocol):
    """The client of `lambda`."""

    async def list_event_source_mappings(self, **parameters: Any) -> Response:
        """Which functions read a stream."""
