"""The state store in blobs by the real SDK against Azurite, where the network fails."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from connectors.azure.state.config import BlobStateConfig
from connectors.azure.state.opening import open_store
from replicator.errors import ConfigurationError
from replicator.model import Checkpoint, Partition, Rejection
from sandbox.faults import Answer, CutAfter, CutBefore, FaultProxy, Stall

if TYPE_CHECKING:
    from sandbox.azurite import Azurite


def config(azurite: Azurite, endpoint: str = "", **settings: Any) -> BlobStateConfig:
    defaults: dict[str, Any] = {
        "endpoint": endpoint or azurite.endpoint,
        "key": SecretStr(azurite.account_key),
        "container": f"s{uuid.uuid4().hex}",
        "create": True,
    }
    return BlobStateConfig(type="blob", **{**defaults, **settings})


@pytest.mark.parametrize(
    "fault",
    [CutBefore(), CutAfter(), Answer(status=503), Stall()],
    ids=["lost on the way", "answer lost", "busy", "no answer"],
)
async def test_a_save_is_repeated_until_it_is_known_to_be_done_and_counts_once(azurite: Azurite, fault: Any) -> None:
    async with FaultProxy("127.0.0.1", azurite.port) as proxy:
        told = config(azurite, f"{proxy.endpoint}/{azurite.account_name}", request_timeout_s=0.5)
        async with open_store(told) as store:
            assert await store.acquire_lease("one", 60) == 0
            for position in ("1", "2"):
                with proxy.inject(fault, method="PUT", count=2):
                    await store.save_checkpoints("orders", [Checkpoint(Partition("a", bounded=False), position)])
            with proxy.inject(fault, method="PUT", count=1):
                await store.add_dead_letters("orders", "p", [Rejection("k", "no")])
            with proxy.inject(fault, method="PUT", count=1):
                assert await store.acquire_lease("one", 60) == 0
        async with open_store(config(azurite, container=told.container)) as again:
            assert [c.position for c in await again.load_checkpoints("orders")] == ["2"]
            assert [d.count for d in await again.dead_letters()] == [1]


async def test_a_container_that_is_missing_and_may_not_be_made_is_said(azurite: Azurite) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        async with open_store(config(azurite, create=False)):
            pass


async def test_a_key_that_is_not_accepted_is_said_and_not_repeated(azurite: Azurite) -> None:
    with pytest.raises(ConfigurationError) as raised:
        async with open_store(config(azurite, key=SecretStr("d3Jvbmc="))):
            pass
    assert "d3Jvbmc" not in str(raised.value)
