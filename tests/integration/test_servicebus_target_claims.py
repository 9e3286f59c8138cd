"""Bodies that are too large for the queue go to a blob, and the message says where, whatever fails meanwhile."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from integration.blobs import content, listed

from connectors.azure.servicebus.claims import blob_name
from fakes.buses import consumed, job, ready, sessions_of, step, text
from fakes.servicebus import lying
from sandbox.faults import Answer, FaultProxy, RuleSpec
from sandbox.servicebus import ServiceBusServer

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

    from sandbox.azurite import Azurite

pytestmark = pytest.mark.usefixtures("hurried")

LARGE = "é" * 150_000


def leaving(azurite: Azurite, container: ContainerClient, **more: Any) -> dict[str, Any]:
    """The settings of a target that leaves bodies in this container."""
    section = {"endpoint": azurite.endpoint, "container": container.container_name, "key": azurite.account_key, **more}
    return {"oversize": "claim_check", "claim_check": section}


async def test_a_body_goes_to_a_blob_and_a_pointer_to_the_queue(
    broker: ServiceBusServer, azurite: Azurite, container: ContainerClient
) -> None:
    async with ready(broker, "orders", **leaving(azurite, container, prefix="jobs/")) as bench:
        colour = {"colour": text("String", "red")}
        assert await bench.apply(job(1, LARGE, attributes=colour), job(2, "small")) == []
    assert await listed(container) == ["jobs/m1"]
    blob = container.get_blob_client("jobs/m1")
    assert await content(blob) == LARGE.encode()
    received = {m.message_id: m for m in await consumed(broker, "orders")}
    pointer = received["m1"]
    assert json.loads(str(pointer)) == {
        "claim_check": {
            "url": blob.url,
            "bytes": len(LARGE.encode()),
            "sha256": hashlib.sha256(LARGE.encode()).hexdigest(),
            "content_type": "text/plain; charset=utf-8",
        }
    }
    assert (pointer.application_properties or {})[b"replicator_claim_url"] == blob.url.encode()
    assert (pointer.application_properties or {})[b"colour"] == b"red"
    assert str(received["m2"]) == "small"


async def test_the_same_message_is_left_once_however_often_it_is_delivered(
    broker: ServiceBusServer, azurite: Azurite, container: ContainerClient
) -> None:
    async with ready(broker, "once", **leaving(azurite, container)) as bench:
        for received in (1, 2, 3):
            assert await bench.apply(job(1, LARGE, received=received)) == []
    assert await listed(container) == ["m1"]
    assert (len(lying(broker, "once")), broker.stats()["duplicates"]) == (1, 2)


async def test_a_large_message_keeps_its_place_in_its_group(
    broker: ServiceBusServer, azurite: Azurite, container: ContainerClient
) -> None:
    async with ready(broker, "groups", sessions=True, **leaving(azurite, container)) as bench:
        changes = [step("a", n, LARGE if n % 2 else None) for n in range(6)]
        assert await bench.apply(*changes) == []
    kinds = [body.startswith('{"claim_check"') for body in sessions_of(broker, "groups")["a"]]
    assert kinds == [False, True] * 3


async def test_failing_uploads_are_repeated_and_nothing_is_sent_before_its_body_is_there(
    broker: ServiceBusServer, azurite: Azurite, container: ContainerClient
) -> None:
    async with FaultProxy("127.0.0.1", azurite.port, rewrite_authority=True) as proxy:
        settings = leaving(azurite, container, endpoint=proxy.endpoint + f"/{azurite.account_name}")
        async with ready(broker, "orders", **settings) as bench:
            proxy.book.add(RuleSpec(action=Answer(status=503), method="PUT", count=2))
            assert await bench.apply(job(1, LARGE)) == []
            assert sum(bench.retried().values()) == 2
    assert await listed(container) == ["m1"]
    assert len(lying(broker, "orders")) == 1


def test_every_id_has_a_name_of_its_own_that_no_service_changes() -> None:
    ids = ["m1", "a/b", "a\\b", "..", "a.", "ü", "replicator-x", "x" * 128]
    found = [blob_name("p/", id_) for id_ in ids]
    assert len(set(found)) == len(ids)
    assert found[0] == "p/m1"
    assert all(name.removeprefix("p/").replace("-", "").replace("_", "").isalnum() for name in found)


async def test_a_pointer_of_an_extended_client_is_rewritten_or_kept(broker: ServiceBusServer) -> None:
    body = '["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"payloads","s3Key":"k"}]'
    sent = job(1, body, attributes={"ExtendedPayloadSize": text("Number", "300000")})
    async with ready(broker, "orders") as bench:
        assert await bench.apply(sent) == []
    assert lying(broker, "orders") == [body]
    container = "https://account.blob.core.windows.net/payloads"
    async with ready(broker, "once", s3_pointers="rewrite", s3_buckets={"payloads": container}) as bench:
        assert await bench.apply(sent) == []
    (pointer,) = lying(broker, "once")
    assert json.loads(pointer)["claim_check"]["url"] == f"{container}/k"
    async with ready(broker, "once", s3_pointers="rewrite", s3_buckets={"other": container}) as bench:
        (rejection,) = await bench.apply(sent)
    assert "bucket payloads" in rejection.reason
