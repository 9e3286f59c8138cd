"""Whether the containers may be read and written, found out by trying, without changing anything."""

import uuid
from typing import Any

from connectors.azure.cosmos.calls import Calls, Hook, Send
from connectors.azure.cosmos.sdk import Container
from connectors.azure.errors import CREDENTIALS_FIX, AzureRefusal
from replicator.errors import AccessError, ConfigurationError


async def require_access(
    container: Container, calls: Calls, where: str, members: tuple[str, ...], *, queried: bool
) -> None:
    """Raises ConfigurationError, at `where`, for what is not permitted.

    A document that cannot exist is read and deleted: the answer is that it is not there, or that this is not permitted.
    `members` form the container's partition key.
    """
    id_ = f"~~{uuid.uuid4()}"  # no key of a record is encoded to this
    partition_key: Any = id_ if len(members) == 1 else [id_] * len(members)

    async def read(hook: Hook) -> None:
        await container.read_item(id_, partition_key, response_hook=hook)

    async def query(hook: Hook) -> None:
        pages = container.query_items("SELECT c.id FROM c", max_item_count=1, response_hook=hook).by_page()
        await anext(pages, None)

    async def delete(hook: Hook) -> None:
        await container.delete_item(id_, partition_key, response_hook=hook)

    for done, attempt in (("read", read), ("queried", query if queried else read), ("written", delete)):
        await _tried(calls, where, f"container {container.id} may not be {done}", attempt)


async def _tried(calls: Calls, where: str, otherwise: str, attempt: Send[None]) -> None:
    try:
        await calls.probe(where, attempt)
    except AzureRefusal as refusal:
        if refusal.status != 404:
            raise ConfigurationError(where, f"{otherwise}: {refusal}", CREDENTIALS_FIX) from refusal
    except ConfigurationError as error:
        if isinstance(error.__cause__, AccessError):
            raise ConfigurationError(where, f"{otherwise}: {error.__cause__}", CREDENTIALS_FIX) from error
        raise
