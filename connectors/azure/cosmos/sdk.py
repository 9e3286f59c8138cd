"""What is used of the SDK's container, so that a fake need not have more."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable
from typing import Any, Protocol


class Paged(Protocol):
    """The results of a query, a page at a time."""

    def by_page(self, continuation_token: str | None = None) -> AsyncIterator[AsyncIterator[Any]]:
        """Its `continuation_token` says where to go on."""


class Container(Protocol):
    """`azure.cosmos.aio.ContainerProxy`. Each call takes a `response_hook`, writes a condition too."""

    @property
    def id(self) -> str:
        """Its name."""

    def read_item(self, item: str, partition_key: Any, **options: Any) -> Awaitable[dict[str, Any]]:
        """The document."""

    def create_item(self, body: dict[str, Any], **options: Any) -> Awaitable[Any]:
        """409 where there is one of that id."""

    def upsert_item(self, body: dict[str, Any], **options: Any) -> Awaitable[Any]:
        """Whatever is there."""

    def replace_item(self, item: str, body: dict[str, Any], **options: Any) -> Awaitable[Any]:
        """404 where there is none, 412 where the condition does not hold."""

    def patch_item(
        self, item: str, partition_key: Any, patch_operations: list[dict[str, Any]], **options: Any
    ) -> Awaitable[Any]:
        """As `replace_item`."""

    def delete_item(self, item: str, partition_key: Any, **options: Any) -> Awaitable[None]:
        """As `replace_item`."""

    def execute_item_batch(
        self, batch_operations: list[tuple[Any, ...]], partition_key: Any, **options: Any
    ) -> Awaitable[Any]:
        """All or nothing."""

    def query_items(self, query: str, **options: Any) -> Paged:
        """Over the whole container, or over `feed_range`."""

    def read_feed_ranges(self) -> AsyncIterable[dict[str, Any]]:
        """The ranges that together are the container."""


class Feeding(Container, Protocol):
    """A container with its change feed."""

    def query_items_change_feed(self, **options: Any) -> Paged:
        """The latest versions of what was written, in a `feed_range` from `start_time` on, or after `continuation`."""
