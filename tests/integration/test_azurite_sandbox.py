"""Azurite starts, stays private and silent, keeps what it is told to keep, ends with its parent."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob.aio import BlobServiceClient

from sandbox.azurite import EMULATOR_ACCOUNT, EMULATOR_KEY, Azurite
from sandbox.processes import ProgramError

if TYPE_CHECKING:
    from collections.abc import Iterator

ITS_OWN = pytest.mark.embedded("azurite", "how its process starts and ends")
LOOPBACK = "127.0.0.1"
STARTER = """
import anyio, sys
from sandbox.azurite import Azurite
async def main():
    async with Azurite() as blobs:
        print(blobs.program.pid, blobs.program.log.parent, flush=True)
        await anyio.sleep(60)
anyio.run(main)
"""


def connect(server: Azurite) -> BlobServiceClient:
    return BlobServiceClient.from_connection_string(server.connection_string, retry_total=0)


@ITS_OWN
async def test_it_listens_on_loopback_only_and_talks_to_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nor does it write into the folder it was started in, or take the parent's accounts and database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZURITE_ACCOUNTS", "other:a2V5")
    monkeypatch.setenv("AZURITE_DB", "mysql://127.0.0.1:1/none")
    monkeypatch.setenv("NODE_OPTIONS", "--inspect")
    async with Azurite() as server, connect(server) as client:
        await client.create_container("names")
        process = psutil.Process(server.program.pid)
        connections = process.net_connections()
        assert [c.laddr for c in connections if c.status == psutil.CONN_LISTEN] == [(LOOPBACK, server.port)]
        assert {c.raddr.ip for c in connections if c.raddr} == {LOOPBACK}
        assert server.endpoint == f"http://{LOOPBACK}:{server.port}/{EMULATOR_ACCOUNT}"
        assert (server.account_name, server.account_key) == (EMULATOR_ACCOUNT, EMULATOR_KEY)
        folder = server.program.log.parent
        assert "names" not in server.program.text()
    assert not process.is_running()
    assert not folder.exists()
    assert os.listdir(tmp_path) == []  # noqa: PTH208 -- a path's own method would have to run in a thread


async def test_another_key_is_refused(azurite: Azurite) -> None:
    key = azurite.connection_string.replace(EMULATOR_KEY, "b3RoZXI=")
    async with BlobServiceClient.from_connection_string(key, retry_total=0) as client:
        with pytest.raises(HttpResponseError) as refused:
            await client.create_container("mine")
    assert refused.value.status_code == 403


@ITS_OWN
async def test_an_orderly_end_keeps_what_was_stored(tmp_path: Path) -> None:
    location = tmp_path / "kept"
    async with Azurite(location=location) as server, connect(server) as client:
        container = await client.create_container("kept")
        for number in range(20):
            await container.upload_blob(str(number), bytes([number]) * 1000)
    async with Azurite(location=location) as server, connect(server) as client:
        container = client.get_container_client("kept")
        assert len([name async for name in container.list_blob_names()]) == 20
        assert await (await container.download_blob("7")).readall() == b"\7" * 1000


@ITS_OWN
async def test_nothing_is_kept_without_a_location() -> None:
    for _ in range(2):
        async with Azurite() as server, connect(server) as client:
            await client.create_container("fleeting")


@ITS_OWN
async def test_memory_is_bounded() -> None:
    """Beyond the limit a write is refused, by name, instead of filling the machine."""
    async with Azurite(memory_limit_mb=1) as server, connect(server) as client:
        container = await client.create_container("small")
        await container.upload_blob("fits", bytes(700_000))
        with pytest.raises(HttpResponseError, match="ErrorCode:MemoryExtentStoreAtSizeLimit"):
            await container.upload_blob("does not", bytes(700_000))


@ITS_OWN
async def test_it_takes_the_port_it_is_given() -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ProgramError, match="EADDRINUSE"):
            await Azurite(port).start()
    async with Azurite(port) as server:
        assert server.port == port


@ITS_OWN
async def test_a_stop_does_not_wait_for_idle_connections() -> None:
    server = Azurite(stop_deadline_s=5)
    await server.start()
    program = server.program
    async with connect(server) as client:
        await client.create_container("open")
        await server.stop()
    assert program.exit_code == 0


@ITS_OWN
async def test_a_killed_one_refuses_connections_and_can_be_started_again() -> None:
    async with Azurite() as server, connect(server) as client:
        server.program.send(signal.SIGKILL)
        assert await server.program.wait() == -signal.SIGKILL
        with pytest.raises(AzureError):
            await client.create_container("gone")
        await server.stop()
        port = server.port
        await server.start()
        assert server.port == port
        await client.create_container("back")


@pytest.fixture
def orphaned() -> Iterator[tuple[psutil.Process, Path]]:
    """One whose parent has just been killed, and the folder of its log."""
    command = [sys.executable, "-c", STARTER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:  # noqa: S603 -- constant
        assert parent.stdout is not None
        pid, folder = re.split(" ", parent.stdout.readline().strip(), maxsplit=1)
        os.kill(parent.pid, signal.SIGKILL)
    process = psutil.Process(int(pid))
    yield process, Path(folder)
    if process.is_running():
        process.kill()


@ITS_OWN
def test_it_does_not_outlive_a_parent_that_was_killed(orphaned: tuple[psutil.Process, Path]) -> None:
    process, folder = orphaned
    process.wait(10)
    assert not folder.exists()  # its log is gone as well
