"""Bodies that are too large for the queue go to a blob, and the message says where, whatever fails meanwhile."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from integration.blobs import content as content_of
from integration.blobs import listed

from connectors.azure.servicebus import fetching
from connectors.azure.servicebus.claims import BLOCK_BYTES, blob_name
from connectors.azure.servicebus.fetching import CHANGED
from connectors.azure.servicebus.sending import BEHIND
from fakes.buses import bench, consumed, job, ready, sessions_of, step, text
from fakes.objects import Bytes, Pattern
from fakes.servicebus import lying
from replicator.errors import ConfigurationError
from replicator.messages import Payload
from replicator.objects import ContentChangedError, ContentRefusedError
from sandbox.faults import Answer, FaultProxy, RuleSpec
from sandbox.servicebus import ServiceBusServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from azure.storage.blob.aio import ContainerClient

    from replicator.messages import Message
    from replicator.model import Change
    from sandbox.azurite import Azurite

pytestmark = pytest.mark.usefixtures("hurried")

LARGE = "é" * 150_000
POINTER = '["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"payloads","s3Key":"k"}]'


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
    assert await content_of(blob) == LARGE.encode()
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


async def test_a_container_that_may_not_be_written_is_found_at_the_start(
    broker: ServiceBusServer, azurite: Azurite, container: ContainerClient
) -> None:
    """Not with the first large body, which would hold up everything behind it."""
    denied = Answer(status=403, headers={"x-ms-error-code": "AuthorizationPermissionMismatch", "x-ms-request-id": "r"})
    async with FaultProxy("127.0.0.1", azurite.port, rewrite_authority=True) as proxy:
        proxy.inject(denied, method="PUT")
        settings = leaving(azurite, container, endpoint=f"{proxy.endpoint}/{azurite.account_name}")
        async with bench(broker, "orders", **settings) as made:
            with pytest.raises(ConfigurationError, match=r"claim_check.*may not be written"):
                await made.target.connect(())
        proxy.lift_all()
        async with ready(broker, "orders", **settings):
            assert await listed(container) == [], "nothing is left by looking"


def test_every_id_has_a_name_of_its_own_that_no_service_changes() -> None:
    ids = ["m1", "a/b", "a\\b", "..", "a.", "ü", "replicator-x", "x" * 128]
    found = [blob_name("p/", id_) for id_ in ids]
    assert len(set(found)) == len(ids)
    assert found[0] == "p/m1"
    assert all(name.removeprefix("p/").replace("-", "").replace("_", "").isalnum() for name in found)


async def test_a_pointer_of_an_extended_client_is_rewritten_or_kept(broker: ServiceBusServer) -> None:
    sent = job(1, POINTER, attributes={"ExtendedPayloadSize": text("Number", "300000")})
    async with ready(broker, "orders") as bench:
        assert await bench.apply(sent) == []
    assert lying(broker, "orders") == [POINTER]
    container = "https://account.blob.core.windows.net/payloads"
    async with ready(broker, "once", s3_pointers="rewrite", s3_buckets={"payloads": container}) as bench:
        assert await bench.apply(sent) == []
    (pointer,) = lying(broker, "once")
    assert json.loads(pointer)["claim_check"]["url"] == f"{container}/k"
    async with ready(broker, "once", s3_pointers="rewrite", s3_buckets={"other": container}) as bench:
        (rejection,) = await bench.apply(sent)
    assert "bucket payloads" in rejection.reason


# --- bodies that lie beside the source's queue ------------------------------------------------------------------------


def inline(number: int, content: Bytes | None, size: int = 0, obstacle: str = "", **fields: Any) -> Change[Message]:
    """A message of an extended client whose payload the source has found, or not."""
    attributes = {"ExtendedPayloadSize": text("Number", str(size)), "colour": text("String", "red")}
    payload = Payload(size, content, obstacle)
    return job(number, POINTER, attributes=attributes, payload=payload, **fields)


async def test_a_payload_becomes_the_body_and_its_pointer_properties(broker: ServiceBusServer) -> None:
    """Whatever breaks off while it is read; an empty one, too."""
    data = ("é" * 50_000).encode()
    async with ready(broker, "orders") as bench:
        content = Bytes(data, cuts={10_000: 2, 70_000: 1})
        assert await bench.apply(inline(1, content, len(data)), job(2, "small"), inline(3, Bytes(b""), 0)) == []
    assert content.starts == [0, 10_000, 10_000, 70_000]
    received = {m.message_id: m for m in await consumed(broker, "orders")}
    assert {id_: str(message).encode() for id_, message in received.items()} == {"m1": data, "m2": b"small", "m3": b""}
    properties = received["m1"].application_properties or {}
    assert b"ExtendedPayloadSize" not in properties
    told = {b"colour": b"red", b"replicator_payload_s3_bucket": b"payloads", b"replicator_payload_s3_key": b"k"}
    assert told.items() <= properties.items()
    assert properties[b"replicator_payload_size"] == len(data)


async def test_a_payload_that_is_too_large_is_streamed_to_a_blob_or_refused_unread(
    broker: ServiceBusServer, azurite: Azurite, container: ContainerClient
) -> None:
    """Never whole in memory: the hash is made block by block."""
    content, size = Pattern(bytes(range(256)) * 256), 2 * BLOCK_BYTES + 5
    async with ready(broker, "orders") as bench:
        (rejection,) = await bench.apply(inline(1, content, size))
    assert "and the queue takes" in rejection.reason
    assert content.read_bytes == 0
    async with ready(broker, "orders", **leaving(azurite, container)) as bench:
        assert await bench.apply(inline(1, content, size)) == []
    assert content.starts == [0, BLOCK_BYTES, 2 * BLOCK_BYTES]
    (pointer,) = await consumed(broker, "orders")
    claim = json.loads(str(pointer))["claim_check"]
    stored = await content_of(container.get_blob_client("m1"))
    assert (claim["bytes"], claim["sha256"]) == (size, hashlib.sha256(stored).hexdigest())
    assert stored == content.piece(0, 1 << 16) * 32 + bytes(range(5))


@pytest.mark.parametrize("error", [ContentRefusedError("AccessDenied: no"), ContentChangedError("412")])
@pytest.mark.parametrize("large", [False, True])
async def test_a_payload_that_cannot_be_read_is_refused_with_those_behind_it(
    broker: ServiceBusServer, azurite: Azurite, container: ContainerClient, error: Exception, *, large: bool
) -> None:
    group: dict[str, Any] = {"group": "a", "ordered": True}
    changes = [inline(2, Bytes(b"", error=error), 500_000 if large else 5, **group), job(3, "behind", **group)]
    async with ready(broker, "groups", sessions=True, **leaving(azurite, container)) as bench:
        first, behind = await bench.apply(job(1, "before", **group), *changes)
        reason = "AccessDenied: no" if isinstance(error, ContentRefusedError) else CHANGED
        assert ([first.key, behind.key], first.reason) == (["m2", "m3"], reason)
        assert behind.reason == BEHIND
        (gone,) = await bench.apply(inline(4, None, obstacle="it is gone", **group))
        assert gone.reason == "it is gone"
    assert sessions_of(broker, "groups") == {"a": ["before"]}


async def test_payloads_that_are_read_at_once_have_a_bound(
    broker: ServiceBusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "BUFFER_BYTES", 250_000)
    async with ready(broker, "orders") as bench:
        async with anyio.create_task_group() as tasks:
            for number in range(12):
                change = inline(number, Bytes(b"x" * 100_000), 100_000)
                tasks.start_soon(bench.apply, change)
        assert bench.target._fetching._budget.most_held == 200_000
    assert len(lying(broker, "orders")) == 12


class Noting(Bytes):
    """Calls `note` when it is read."""

    def __init__(self, data: bytes, note: Callable[[], None], error: Exception | None = None) -> None:
        super().__init__(data, error=error)
        self._note = note

    async def read(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        self._note()
        async for piece in super().read(start, length):
            yield piece


async def test_payloads_of_one_batch_have_the_bound_too(
    broker: ServiceBusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So some are sent before others are read, and what is behind a refused one waits across that as well."""
    monkeypatch.setattr(fetching, "BUFFER_BYTES", 250_000)
    noted: list[int] = []

    def sized(number: int, size: int, error: Exception | None = None, group: str = "a") -> Change[Message]:
        content = Noting(b"x" * size, lambda: noted.append(len(lying(broker, "groups"))), error)
        return inline(number, content, size, group=group, ordered=True)

    changes = [sized(0, 100_000), sized(1, 100_000), sized(2, 100_000), sized(3, 240_000, group="b")]
    async with ready(broker, "groups", sessions=True, max_message_bytes=262_144) as bench:
        assert await bench.apply(*changes) == []
        assert noted == [0, 0, 2, 3]
        refused = [sized(5, 100_000), sized(6, 100_000, ContentChangedError("412")), sized(7, 200_000)]
        rejections = await bench.apply(*refused, sized(8, 100_000, group="b"), sized(9, 100, group="a"))
    assert {r.key: r.reason for r in rejections} == {"m6": CHANGED, "m7": BEHIND, "m9": BEHIND}
    assert {group: len(bodies) for group, bodies in sessions_of(broker, "groups").items()} == {"a": 4, "b": 2}
