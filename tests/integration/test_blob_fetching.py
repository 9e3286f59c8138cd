"""Promises of server-side transfer: the service fetches the bytes where it can, and nothing is lost where it cannot."""

from __future__ import annotations

import hashlib
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from connectors.azure.blob import fetching as module
from fakes.blobs import Bench, bench, ready
from fakes.fetching import SECRET, FetchingAccount, SignedSource, fetching, refusal
from fakes.objects import Bytes, put
from replicator.errors import TransientError
from replicator.model import GuardedResult, Severity
from replicator.objects import ContentChangedError, ContentRefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from sandbox.azurite import Azurite

LARGE = os.urandom(1_000_000)
DONE = GuardedResult()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 300_000)


@asynccontextmanager
async def serving(azurite: Azurite) -> AsyncIterator[tuple[Bench, FetchingAccount, SignedSource]]:
    async with (
        fetching(azurite, LARGE) as (account, source),
        ready(azurite, to=account.endpoint, transfer="server", block_bytes=100_000) as made,
    ):
        yield made, account, source


def signed(source: SignedSource, **options: Any) -> Bytes:
    """The source's content, with URLs to it."""
    content = Bytes(source.data, **options)
    content.url_of = lambda _: source.url
    return content


async def test_the_service_fetches_what_is_large_and_the_rest_is_streamed(azurite: Azurite) -> None:
    async with serving(azurite) as (made, account, source):
        md5 = hashlib.md5(LARGE, usedforsecurity=False).digest()
        content = signed(source)
        assert await made.replace(put("a b/ü", LARGE, content=content, checksums={"md5": md5}), put("s", b"1")) == DONE
        assert await made.held() == {"a b/ü": LARGE, "s": b"1"}
        assert (content.read_bytes, account.fetches) == (1, 4)
        assert sorted(source.asked) == [(0, 299_999), (300_000, 599_999), (600_000, 899_999), (900_000, 999_999)]
        found = await made.container.get_blob_client("a b/ü").get_blob_properties()
        assert found.content_settings.content_md5 == bytearray(md5)
        again = signed(source)
        await made.replace(put("a b/ü", LARGE, content=again, checksums={"md5": md5}, tags={"t": "1"}))
        assert (again.read_bytes, account.fetches) == (0, 4), "another label needs no bytes"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "CannotVerifyCopySource"),
        (403, "CannotVerifyCopySource"),
        (501, "APINotImplemented"),
        (500, "InternalError"),
    ],
)
async def test_where_it_cannot_bytes_are_streamed_and_it_is_not_asked_again(
    azurite: Azurite, status: int, code: str
) -> None:
    async with serving(azurite) as (made, account, source):
        account.script = lambda _: refusal(status, code, source.url)
        with capture_logs() as logs:
            assert await made.replace(put("a", LARGE, content=signed(source))) == DONE
            asked = account.fetches
            assert await made.replace(put("b", LARGE, content=signed(source))) == DONE
        assert await made.held() == {"a": LARGE, "b": LARGE}
        assert account.fetches == asked
        assert sum("cannot fetch" in entry["event"] for entry in logs) == 1
        assert SECRET not in str(logs)


async def test_a_passing_failure_is_tried_again(azurite: Azurite) -> None:
    async with serving(azurite) as (made, account, source):
        busy = {2: refusal(503, "ServerBusy"), 3: refusal(500, "OperationTimedOut"), 5: refusal(503, "ServerBusy")}
        account.script = busy.get
        content = signed(source)
        assert await made.replace(put("a", LARGE, content=content)) == DONE
        assert await made.content("a") == LARGE
        assert content.read_bytes == 1


async def test_a_url_that_cannot_be_had_at_the_moment_is_asked_for_again(azurite: Azurite) -> None:
    async with serving(azurite) as (made, account, source):
        failures, content = [True, False, True, False], signed(source)

        def url_of(_: float) -> str:
            if failures and failures.pop():
                raise TransientError("no credentials at the moment")
            return source.url

        content.url_of = url_of
        assert await made.replace(put("a", LARGE, content=content)) == DONE
        assert (await made.content("a"), account.fetches) == (LARGE, 4)


async def test_an_object_without_a_url_is_streamed_and_others_are_fetched(azurite: Azurite) -> None:
    async with serving(azurite) as (made, account, source):
        long = signed(source)
        long.url_of = lambda _: f"{source.url}&{'x' * 2048}"
        changes = [put("a", LARGE), put("b", LARGE, content=signed(source)), put("c", LARGE, content=long)]
        assert await made.replace(*changes) == DONE
        assert await made.held() == {"a": LARGE, "b": LARGE, "c": LARGE}
        assert account.fetches == 4


async def test_an_object_that_changed_meanwhile_is_neither_committed_nor_held_against_the_service(
    azurite: Azurite,
) -> None:
    """Its URL shows the newest version, so blocks might be of two of them."""
    async with serving(azurite) as (made, account, source):
        for fails in (False, True):
            if fails:
                account.script = lambda _: refusal(404, "CannotVerifyCopySource")
            for error in (ContentChangedError(), ContentRefusedError("no permission")):
                result = await made.replace(put("a", LARGE, content=signed(source, error=error)))
                assert bool(result.conflicts) != bool(result.rejections)
                assert SECRET not in str(result)
        assert await made.names() == []
        assert made.target._writer.fetcher is not None
        assert not made.target._writer.fetcher.paused


async def test_secrets_reach_no_error(azurite: Azurite) -> None:
    """Not even those that the service sends back, and not by way of an error's cause."""
    async with serving(azurite) as (made, account, source):
        account.script = lambda _: refusal(400, "InvalidHeaderValue", source.url)

        class Broken(Bytes):
            async def read(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
                raise RuntimeError("a bug")
                yield b""

        content = Broken(LARGE)
        content.url_of = lambda _: source.url
        with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError), flatten_subgroups=True) as caught:
            await made.replace(put("a", LARGE, content=content))
        assert SECRET not in str(caught.getrepr(chain=True, style="short"))


@pytest.mark.parametrize("code", ["CannotVerifyCopySource", "APINotImplemented"])
async def test_check_tells_whether_the_account_fetches(azurite: Azurite, code: str) -> None:
    async with fetching(azurite, LARGE) as (account, _):
        account.script = lambda _: refusal(404 if code == "CannotVerifyCopySource" else 501, code)
        async with ready(azurite, to=account.endpoint, transfer="server") as made:
            findings = [f for f in await made.target.check() if "from URLs" in f.message]
            can = code == "CannotVerifyCopySource"
            assert [f.severity for f in findings] == [Severity.OK if can else Severity.WARNING]
            assert await made.names() == []
    async with bench(azurite, transfer="server") as missing:
        await missing.target.connect(())
        assert not any("from URLs" in f.message for f in await missing.target.check())
