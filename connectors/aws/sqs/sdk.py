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


class WatchingClient(Protocol):
    """The part of the client of `sqs` that takes nothing."""

    async def get_queue_url(self, **parameters: Any) -> Response:
        """The URL of a queue, by its name."""

    async def get_queue_attributes(self, **parameters: Any) -> Response:
        """Settings of a queue, and how many messages it holds, approximately."""


class ReceivingClient(WatchingClient, Protocol):
    """The part of the client of `sqs` that receives."""

    async def receive_message(self, **parameters: Any) -> Response:
        """Up to ten messages, from now on invisible to others."""

    async def delete_message_batch(self, **parameters: Any) -> Response:
        """Deletes messages, by their receipts."""

    async def change_message_visibility_batch(self, **parameters: Any) -> Response:
        """Sets until when messages stay invisible, by their receipts."""


class QueueClient(ReceivingClient, Protocol):
    """The client of `sqs`."""

    @property
    def meta(self) -> Meta:
        """Of this client."""

    async def delete_message(self, **parameters: Any) -> Response:
        """Only ever called with a receipt of nothing."""

    async def change_message_visibility(self, **parameters: Any) -> Response:
        """Only ever called with a receipt of nothing."""


class FunctionsClient(Protocol):
    """The client of `lambda`."""

    async def list_event_source_mappings(self, **parameters: Any) -> Response:
        """Which functions a queue triggers."""


class MetricsClient(Protocol):
    """The client of `cloudwatch`."""

    async def get_metric_statistics(self, **parameters: Any) -> Response:
        """Readings of a metric over a time."""
