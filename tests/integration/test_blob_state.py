"""The state store in blobs by the real SDK against Azurite, where the network fails."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from pydantic import SecretStr

from connectors.azure.state.checking import check
from connectors.azure.state.config import BlobStateConfig
from connectors.azure.state.opening import look_at_store, open_container, open_store
from replicator.errors import ConfigurationError
from replicator.model import Checkpoint, Partition, PipelineState, Rejection, Severity
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


async def held(told: BlobStateConfig) -> dict[str, str]:
    """Each blob of the container with its ETag."""
    async with open_container(told) as container:
        return {blob.name: blob.etag async for blob in container.list_blobs()}


async def test_whoever_looks_reads_what_is_there_and_writes_nothing(azurite: Azurite) -> None:
    """Changes are seen through the same look only."""
    told = config(azurite, prefix="shop/")
    async with open_store(told) as store:
        identity = await store.migration_id()
        await store.save_checkpoints("orders", [Checkpoint(Partition("a", bounded=False), "1")])
        await store.save_note("orders", "n", "before")
    before = await held(told)
    async with look_at_store(told) as store:
        assert await store.migration_id() == identity
        assert await store.acquire_lease("check", 1) == 0
        await store.save_note("orders", "n", "after")
        await store.begin_epoch("orders", PipelineState(epoch=2))
        assert await store.load_note("orders", "n") is None
        assert await store.load_checkpoints("orders") == []
    assert await held(told) == before
    async with look_at_store(told) as store:
        assert await store.load_note("orders", "n") == "before"


async def test_a_lease_is_free_to_whoever_looks_once_it_has_run_out_by_the_accounts_clock(azurite: Azurite) -> None:
    """And not before: nobody who only looks can wait to see whether it is renewed."""
    told = config(azurite)
    async with open_store(told) as daemon:
        assert await daemon.acquire_lease("daemon", 60) == 0
        async with look_at_store(told) as store:
            assert await store.acquire_lease("check", 1) > 0
            assert await store.lease_owner() == "daemon"
        await daemon.acquire_lease("daemon", 0.1)
        with anyio.fail_after(20):
            while True:
                async with look_at_store(told) as store:
                    if await store.acquire_lease("check", 1) == 0:
                        break
                await anyio.sleep(0.2)
        assert await daemon.acquire_lease("daemon", 60) == 0


async def test_a_container_that_may_be_made_is_not_made_by_looking(azurite: Azurite) -> None:
    told = config(azurite)
    async with look_at_store(told) as store:
        assert await store.load_checkpoints("orders") == []
        assert await store.migration_id()
    (finding,) = await check(told)
    assert (finding.severity, finding.where) == (Severity.OK, "state.container")
    assert "is missing and will be created" in finding.message
    with pytest.raises(ConfigurationError, match="does not exist"):
        await check(config(azurite, container=told.container, create=False))


async def test_check_asks_whether_the_state_can_be_written_and_writes_nothing(azurite: Azurite) -> None:
    told = config(azurite)
    async with open_store(told) as store:
        await store.migration_id()
    before = await held(told)
    findings = await check(told)
    assert [f.severity for f in findings] == [Severity.OK, Severity.OK]
    assert "may be read and written" in findings[-1].message
    assert await held(told) == before


async def test_check_says_who_may_not_write(azurite: Azurite) -> None:
    """Somebody with a role that can only read."""
    async with FaultProxy("127.0.0.1", azurite.port) as proxy:
        told = config(azurite, f"{proxy.endpoint}/{azurite.account_name}")
        async with open_store(told):
            pass
        refusal = Answer(status=403, headers={"x-ms-error-code": "AuthorizationPermissionMismatch"})
        with proxy.inject(refusal, method="PUT", count=1), pytest.raises(ConfigurationError) as raised:
            await check(told)
    assert raised.value.where == "state.container"
    assert "AuthorizationPermissionMismatch" in str(raised.value)
