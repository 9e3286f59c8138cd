"""Promises of a Blob Storage target before and around the writing: connecting, creating, the marker, scans, check."""

from __future__ import annotations

import json
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from pydantic import SecretStr, ValidationError

from connectors.azure.blob.config import BlobTargetConfig
from fakes.blobs import WHERE, Bench, bench, config, ready
from fakes.objects import gone, put
from replicator.errors import ConfigurationError, ForeignOwnerError
from replicator.model import Listed, Marker, Severity
from replicator.telemetry import TARGET
from sandbox.faults import FaultProxy
from sandbox.faults.rules import Answer, CutAfter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandbox.azurite import Azurite

ONE, TWO, OTHER = Marker("m", 1, "g1"), Marker("m", 1, "g2"), Marker("x", 9, "g9")


@pytest.fixture
async def made(azurite: Azurite) -> AsyncIterator[Bench]:
    async with ready(azurite) as running:
        yield running


@asynccontextmanager
async def answering(azurite: Azurite, path: str, status: int, code: str, **rule: Any) -> AsyncIterator[str]:
    """An endpoint before Azurite that answers so to these requests."""
    headers = {"x-ms-request-id": "r", "x-ms-error-code": code}
    async with FaultProxy("127.0.0.1", azurite.port) as proxy:
        proxy.inject(Answer(status=status, headers=headers), path=path, **rule)
        yield f"{proxy.endpoint}/{azurite.account_name}"


async def listed(bench: Bench, position: str | None = None) -> list[Listed]:
    return [page async for page in bench.target.scan(position)]


# --- connecting and creating ------------------------------------------------------------------------------------------


async def test_what_is_missing_is_created_and_creating_is_idempotent(azurite: Azurite) -> None:
    async with bench(azurite) as new:
        await new.target.connect(())
        assert await new.target.is_empty()
        assert await new.target.read_marker() is None
        assert not await new.container.exists(), "connecting changes nothing"
        for _ in range(2):
            await new.target.create()
        assert await new.target.is_empty()
        noted = (await new.container.get_container_properties()).metadata
        await new.container.set_container_metadata({**noted, "theirs": "1"})
        async with bench(
            azurite, container=new.config.container, marker_container=new.config.marker_container
        ) as other:
            await other.target.connect(())
            await other.target.create()
        assert (await new.container.get_container_properties()).metadata == {**noted, "theirs": "1"}


@pytest.mark.parametrize("field", ["container", "marker_container"])
async def test_a_missing_container_that_may_not_be_created_is_an_error_that_names_it(
    azurite: Azurite, made: Bench, field: str
) -> None:
    there = {"container": made.config.container, "marker_container": made.config.marker_container}
    async with bench(azurite, **{**there, field: "missing"}, create=False) as new:
        with pytest.raises(ConfigurationError, match=f"{WHERE}.{field}: container missing does not exist"):
            await new.target.connect(())


@pytest.mark.parametrize(
    ("path", "method", "denied"),
    [
        (r"replicator-[\w-]+$", "HEAD", "read"),
        (r"replicator-[\w-]+$", "PUT", "written"),
        (r"replicator-[\w-]+$", "DELETE", "deleted"),
        ("comp=list", "GET", "listed"),
        ("comp=tags", "GET", "read for tags"),
        ("comp=tags", "PUT", "tagged"),
    ],
)
async def test_what_is_not_permitted_is_found_before_anything_is_written(
    azurite: Azurite, made: Bench, path: str, method: str, denied: str
) -> None:
    there = {"container": made.config.container, "marker_container": made.config.marker_container}
    async with (
        answering(azurite, path, 403, "AuthorizationPermissionMismatch", method=method) as to,
        bench(azurite, to=to, **there) as new,
    ):
        with pytest.raises(ConfigurationError, match=f"container {made.config.container} may not be {denied}: .*403"):
            await new.target.connect(())
    assert await made.names() == []


async def test_tags_need_no_permission_where_they_are_not_index_tags(azurite: Azurite, made: Bench) -> None:
    there = {"container": made.config.container, "marker_container": made.config.marker_container}
    async with (
        answering(azurite, "comp=tags", 403, "AuthorizationPermissionMismatch") as to,
        bench(azurite, to=to, tags="none", **there) as new,
    ):
        await new.target.connect(())


async def test_a_wrong_key_is_an_error_at_once(azurite: Azurite) -> None:
    async with bench(azurite, key=SecretStr("c2VjcmV0")) as new:
        with pytest.raises(ConfigurationError, match=f"{WHERE}: .*403"):
            await new.target.connect(())


async def test_an_account_with_folders_is_refused(azurite: Azurite) -> None:
    headers = {"x-ms-request-id": "r", "x-ms-sku-name": "Standard_LRS", "x-ms-account-kind": "StorageV2"}
    async with FaultProxy("127.0.0.1", azurite.port) as proxy:
        proxy.inject(Answer(status=200, headers={**headers, "x-ms-is-hns-enabled": "true"}), path="restype=account")
        async with bench(azurite, to=f"{proxy.endpoint}/{azurite.account_name}") as new:
            with pytest.raises(ConfigurationError, match="hierarchical namespace"):
                await new.target.connect(())


async def test_an_account_that_says_nothing_of_itself_can_be_used_and_is_warned_of(azurite: Azurite) -> None:
    async with (
        answering(azurite, "restype=account", 403, "AuthorizationPermissionMismatch") as to,
        ready(azurite, to=to) as new,
    ):
        assert "may not be asked what it is" in "\n".join(
            finding.message for finding in await new.target.check() if finding.severity is Severity.WARNING
        )


async def test_an_account_without_tiers_is_given_none(azurite: Azurite) -> None:
    headers = {"x-ms-request-id": "r", "x-ms-sku-name": "Premium_LRS", "x-ms-account-kind": "BlockBlobStorage"}
    async with FaultProxy("127.0.0.1", azurite.port) as proxy:
        proxy.inject(Answer(status=200, headers=headers), path="restype=account")
        async with ready(azurite, to=f"{proxy.endpoint}/{azurite.account_name}") as new:
            change = put("a", b"1", storage_class="STANDARD_IA")
            await new.replace(change)
            found = await new.container.get_blob_client("a").get_blob_properties()
            assert found.blob_tier == "Hot"
            assert (await new.observe("a")).digest == new.target.fingerprint(change)
            assert any("no access tiers" in finding.message for finding in await new.target.check())


# --- the marker -------------------------------------------------------------------------------------------------------


async def test_the_marker_is_replaced_only_on_condition(made: Bench) -> None:
    target = made.target
    for _ in range(2):
        assert await target.write_marker(ONE, None)
    assert await target.read_marker() == ONE
    assert not await target.write_marker(OTHER, None)
    assert not await target.write_marker(OTHER, TWO)
    assert await target.write_marker(TWO, ONE)
    assert await target.read_marker() == TWO
    assert await target.is_empty(), "it is no object"
    assert await listed(made) == []


@pytest.mark.parametrize("held", [b"", b"\xff", b"[]", b'{"migration": "shop"}'])
async def test_what_is_no_marker_in_its_place_is_an_error_that_says_what_to_do(made: Bench, held: bytes) -> None:
    """Somebody else's file, which is left to them."""
    markers = made.target._marker_container
    await markers.upload_blob(f"{made.config.container}.json", held)
    for attempt in (made.target.read_marker, lambda: made.target.write_marker(ONE, None)):
        with pytest.raises(ForeignOwnerError, match="remove it, or name another marker_container"):
            await attempt()
    assert await (await markers.download_blob(f"{made.config.container}.json")).readall() == held


async def test_a_marker_write_without_an_answer_is_found_out_about(azurite: Azurite) -> None:
    async with FaultProxy("127.0.0.1", azurite.port) as proxy:
        to = f"{proxy.endpoint}/{azurite.account_name}"
        async with ready(azurite, to=to, lifetime_s=0.3, timeout_s=5.0) as new:
            proxy.inject(CutAfter(), method="PUT", path=r"\.json", count=1)
            assert await new.target.write_marker(ONE, None)
            assert await new.target.read_marker() == ONE


async def test_a_container_that_was_made_again_is_nobodys_and_is_not_written_on(azurite: Azurite, made: Bench) -> None:
    assert await made.target.write_marker(ONE, None)
    await made.container.delete_container()
    with pytest.raises(ForeignOwnerError, match="deleted"):
        await made.target.write_marker(TWO, ONE)
    there = {"container": made.config.container, "marker_container": made.config.marker_container}
    async with ready(azurite, **there) as again:
        assert await again.target.read_marker() is None
        with pytest.raises(ForeignOwnerError, match="made again"):
            await made.target.write_marker(TWO, ONE)
        assert await again.target.write_marker(OTHER, None)


async def test_a_container_that_is_missing_is_waited_for_and_does_not_count_as_empty(made: Bench) -> None:
    """Nothing is refused for good meanwhile."""
    await made.replace(put("a", b"1"))
    await made.container.delete_container()
    for attempt in (made.target.observe(["a"]), made.replace(put("b", b"1")), made.target.is_empty()):
        with anyio.move_on_after(0.3) as scope:
            await attempt
        assert scope.cancelled_caught
    assert made.telemetry.sides[TARGET].degraded
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.replace, put("b", b"1"), put("c", bytes(400_000)))
        await anyio.sleep(0.1)
        await made.container.create_container()
    assert await made.names() == ["b", "c"]


async def test_another_prefix_stands_against_going_on(azurite: Azurite, made: Bench) -> None:
    await made.target.write_marker(ONE, None)
    there = {"container": made.config.container, "marker_container": made.config.marker_container}
    async with ready(azurite, prefix="p/", **there) as other:
        found = await other.target.read_marker()
        assert found == ONE
        assert found is not None
        assert "the prefix ''" in found.obstacle
        assert any(finding.severity is Severity.ERROR for finding in await other.target.check())


# --- scans ------------------------------------------------------------------------------------------------------------


async def test_a_scan_shows_everything_and_resumes_after_any_position(made: Bench) -> None:
    keys = [f"k{n:02}" for n in range(25)]
    await made.replace(*(put(key, b"x") for key in keys))
    made.target._scanner.page = 4
    pages = await listed(made)
    assert [key for page in pages for key in page.keys] == keys
    assert len(pages) == 7
    for done, page in enumerate(pages, start=1):
        rest = [key for after in pages[done:] for key in after.keys]
        assert [key for after in await listed(made, page.position) for key in after.keys] == rest
    await made.replace(*(gone(key) for key in keys))
    assert await listed(made, pages[2].position) == []


async def test_what_is_not_ours_is_named_apart_and_removed_only_if_unchanged(made: Bench) -> None:
    await made.replace(put("a", b"1"))
    for name in ("stranger", "other"):
        await made.container.upload_blob(name, b"1", metadata={"theirs": "1"})
    (page,) = await listed(made)
    assert (page.keys, len(page.foreign)) == (("a",), 2)
    assert not await made.target.is_empty()
    await made.container.upload_blob("stranger", b"2", overwrite=True)
    await made.target.remove_foreign(page.foreign)
    assert await made.names() == ["a", "stranger"]
    (page,) = await listed(made)
    await made.target.remove_foreign(page.foreign)
    await made.target.remove_foreign(page.foreign)
    assert await made.names() == ["a"]
    await made.target.sweep(lambda _: None)


async def test_what_somebody_holds_is_left_to_them(made: Bench) -> None:
    blob = await made.container.upload_blob("stranger", b"1")
    (page,) = await listed(made)
    await blob.acquire_lease(60)
    await made.target.remove_foreign(page.foreign)
    assert await made.names() == ["stranger"]


async def test_a_removal_whose_answer_was_lost_is_finished(azurite: Azurite) -> None:
    async with FaultProxy("127.0.0.1", azurite.port) as proxy:
        to = f"{proxy.endpoint}/{azurite.account_name}"
        async with ready(azurite, to=to, lifetime_s=0.3, timeout_s=5.0) as new:
            await new.container.upload_blob("stranger", b"1")
            (page,) = await listed(new)
            proxy.inject(CutAfter(), method="DELETE", count=1)
            await new.target.remove_foreign(page.foreign)
            assert await new.target.is_empty()


async def test_blobs_outside_the_prefix_are_left_alone(azurite: Azurite) -> None:
    async with ready(azurite, prefix="p/") as new:
        await new.container.upload_blob("theirs", b"1")
        assert await new.target.is_empty()
        await new.replace(put("a", b"1"), put("b/c", b"2"))
        assert await new.names() == ["p/a", "p/b/c", "theirs"]
        (page,) = await listed(new)
        assert (page.keys, page.foreign) == (("a", "b/c"), ())
        await new.replace(gone("a"))
        assert await new.names() == ["p/b/c", "theirs"]


# --- check and config -------------------------------------------------------------------------------------------------


async def test_check_tells_what_was_found(azurite: Azurite, made: Bench) -> None:
    async with bench(azurite) as new:
        await new.target.connect(())
        findings = await new.target.check()
        assert not any(finding.severity in {Severity.ERROR, Severity.WARNING} for finding in findings)
        assert sum("is missing and will be created" in finding.message for finding in findings) == 2
    await made.container.upload_blob("theirs", b"1")
    errors = [finding.message for finding in await made.target.check() if finding.severity is Severity.ERROR]
    assert errors == [f"container {made.config.container} is not empty, and no migration has claimed it"]
    await made.target.write_marker(ONE, None)
    assert any("claimed by migration m in epoch 1" in finding.message for finding in await made.target.check())


@pytest.mark.parametrize("header", ["x-ms-has-immutability-policy", "x-ms-has-legal-hold"])
async def test_check_refuses_what_cannot_be_overwritten(azurite: Azurite, made: Bench, header: str) -> None:
    properties = {
        "x-ms-request-id": "r",
        "ETag": '"0x1"',
        "Last-Modified": "Mon, 23 Nov 2026 12:00:00 GMT",
        header: "true",
    }
    there = {"container": made.config.container, "marker_container": made.config.marker_container}
    async with FaultProxy("127.0.0.1", azurite.port) as proxy:
        answer = Answer(status=200, headers=properties)
        proxy.inject(answer, method="GET", path=rf"{made.config.container}\?restype=container$")
        async with bench(azurite, to=f"{proxy.endpoint}/{azurite.account_name}", **there) as new:
            await new.target.connect(())
            errors = [f.message for f in await new.target.check() if f.severity is Severity.ERROR]
            assert any("immutable" in message for message in errors)


async def test_check_tells_of_soft_delete(azurite: Azurite, made: Bench) -> None:
    body = (
        b'<?xml version="1.0"?><StorageServiceProperties><DeleteRetentionPolicy><Enabled>true</Enabled>'
        b"<Days>7</Days></DeleteRetentionPolicy></StorageServiceProperties>"
    )
    headers = {"x-ms-request-id": "r", "Content-Type": "application/xml"}
    async with FaultProxy("127.0.0.1", azurite.port) as proxy:
        proxy.inject(Answer(status=200, headers=headers, body=body), path="restype=service&comp=properties")
        async with ready(azurite, to=f"{proxy.endpoint}/{azurite.account_name}") as new:
            assert any("for 7 days" in finding.message for finding in await new.target.check())


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"container": "x" * 64}, "at most 63"),
        ({"container": "Upper"}, "pattern"),
        ({"marker_container": "same", "container": "same"}, "another container"),
        ({"prefix": "a/../"}, "dot"),
        ({"block_bytes": 64 * 1024 * 1024 + 1}, "buffer_bytes"),
        ({"endpoint": "http://127.0.0.1:10000"}, "account"),
        ({"tiers": {"STANDARD": "Tepid"}}, "Hot"),
        ({"endpoint": "https://acme.blob.core.windows.net?sv=1&sig=x"}, "signature"),
    ],
)
def test_a_config_that_cannot_work_is_refused(azurite: Azurite, settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        config(azurite, **settings)


@pytest.mark.parametrize(
    ("endpoint", "account", "name"),
    [
        ("https://acme.blob.core.windows.net", None, "acme"),
        ("http://127.0.0.1:10000/devstoreaccount1/", None, "devstoreaccount1"),
        ("https://blobs.example.com", "acme", "acme"),
    ],
)
def test_the_accounts_name_is_found_in_the_endpoint(endpoint: str, account: str | None, name: str) -> None:
    made = BlobTargetConfig(type="blob", endpoint=endpoint, account=account, container="orders")
    assert made.account_name == name


def test_a_container_has_one_place_however_it_is_written() -> None:
    places = {
        BlobTargetConfig(type="blob", endpoint=endpoint, container="orders", prefix=uuid.uuid4().hex).place
        for endpoint in ("https://ACME.blob.core.windows.net", "https://acme.blob.core.windows.net:443/")
    }
    assert len(places) == 1
    assert json.dumps(list(*places))
