"""The commands as a person or a script runs them."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import anyio
import pytest
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import MessagingEntityNotFoundError

from sandbox.aws import AwsServer
from sandbox.processes import Program, replicator_program
from scenarios.migration import running
from scenarios.world import world


@pytest.fixture
def quick_programs() -> None:
    """Here they start as anybody's do."""


def _fresh(log: Path) -> Path:
    log.unlink(missing_ok=True)
    return log


async def output(log: Path, *arguments: str, expect: int = 0, deadline_s: float = 150) -> str:
    """What a command printed; it must end with the expected exit code."""
    async with replicator_program(_fresh(log), *arguments) as program:
        assert await program.wait(deadline_s) == expect, program.tail()
        return program.text()


def _demo(folder: Path, *options: str, environment: dict[str, str] | None = None) -> Program:
    """The demo, run in a folder."""
    command = f"import os; os.chdir({str(folder)!r}); from replicator.cli import main; main()"
    return Program([sys.executable, "-c", command, "demo", *options], folder / "demo.log", environment)


LARGE_BYTES = 9_000_000
"""Of the largest object: more than one part, and than one block."""

SMALL = (
    *("--items", "200", "--objects", "30", "--messages", "20", "--seconds", "2", "--rate", "50"),
    *("--large-bytes", str(LARGE_BYTES)),
)
"""A demo of all kinds of workloads, each of them small."""


async def test_the_demo_ends_with_a_verdict_and_one_line_of_json(tmp_path: Path) -> None:
    """A small one: the whole flow, equal on both sides. A proxy of the environment is not for local clouds."""
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9"}
    async with _demo(tmp_path, *SMALL, "--json", environment=proxy) as demo:
        assert await demo.wait(250) == 0, demo.tail()
    *lines, last = (tmp_path / "demo.log").read_text().splitlines()
    outcome = json.loads(last)
    assert outcome["equal"] is True
    assert outcome["caught_up"] is True
    assert outcome["peak_resident_bytes"] > 10_000_000
    assert outcome["catch_up_s"] >= max(pipeline["catch_up_s"] for pipeline in outcome["pipelines"].values()) >= 0
    orders, documents, payments, emails = outcome["pipelines"].values()
    assert orders["source_records"] == orders["target_records"] == orders["equal"] > 200
    assert orders["writes"] > 50
    assert documents["source_records"] == documents["target_records"] == documents["equal"] >= 30
    assert documents["copied_bytes"] > LARGE_BYTES
    for queue in (payments, emails):
        assert queue["sent"] == 20 + queue["writes"]
        assert queue["received"] == queue["sent"] + queue["duplicates"] + queue["repeated"]
    assert lines[1] == "config: .demo/migration.yaml"
    assert (tmp_path / ".demo/migration.yaml").exists()
    assert lines[-1].startswith("EQUAL: everything is on the other side.")


async def test_a_demo_in_which_something_is_missing_says_what(tmp_path: Path) -> None:
    """Here somebody takes a message from Service Bus before it is compared."""
    async with _demo(tmp_path, *SMALL) as demo:
        await demo.line("daemon: ")
        stolen = await _steal(json.loads((tmp_path / ".demo/servicebus.log").read_text().splitlines()[0]))
        assert await demo.wait(250) == 1, demo.tail()
    said = demo.text().splitlines()
    assert f"  {stolen} is missing" in said
    (emails,) = [line for line in said if line.startswith("emails: NOT EQUAL")]
    assert "; 1 missing, 0 different, 0 extra;" in emails
    assert [line.partition(":")[0] for line in said if ": EQUAL, " in line] == ["orders", "documents", "payments"]
    assert said[-1].startswith("NOT EQUAL: not everything is on the other side.")


async def _steal(bus: dict[str, str]) -> str:
    """Receives the first message of a queue as soon as there is one; its id."""
    async with ServiceBusClient.from_connection_string(bus["connection_string"]) as client:
        while True:
            try:
                async with client.get_queue_receiver("emails") as receiver:
                    (message, *_) = await receiver.receive_messages(1, max_wait_time=30)
                    await receiver.complete_message(message)
                    return str(message.message_id)
            except MessagingEntityNotFoundError:  # the daemon has yet to make it
                await anyio.sleep(0.1)


def _children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    everything = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [one for one in everything if _state(one)[1:] == [str(pid)] and _runs(one)]


def _runs(pid: int) -> bool:
    return _state(pid)[:1] not in ([], ["Z"])


def _state(pid: int) -> list[str]:
    """Its state's letter and its parent, nothing once it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return []


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


async def test_a_demo_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    """Neither the local clouds nor the daemon, which would try for ever to reach them."""
    async with _demo(tmp_path, *SMALL) as demo:
        await demo.line("daemon: ")
        started = _children(demo.pid)
        assert len(started) == 5, "one for each service, and the daemon"
        demo.send(signal.SIGKILL)
        await demo.wait()
    with anyio.fail_after(120):
        while any(map(_runs, started)):  # noqa: ASYNC110 -- who is not their parent is told of their end by nobody
            await anyio.sleep(0.05)


async def test_a_demo_whose_daemon_dies_says_so_and_names_its_log(tmp_path: Path) -> None:
    """In one line, however many of its tasks notice."""
    async with _demo(tmp_path, *SMALL) as demo:
        await demo.line("copied ")
        (daemon,) = [child for child in _children(demo.pid) if "migration.yaml" in _command(child)]
        os.kill(daemon, signal.SIGKILL)
        assert await demo.wait() == 2, demo.tail()
    said = demo.text().splitlines()
    assert said[-1] == "replicator: demo: the daemon has ended with code -9. Its log is .demo/daemon.log"
    assert [line for line in said if line.startswith(("replicator: ", "Traceback"))] == said[-1:]


async def test_status_speaks_to_people_and_to_machines(aws: AwsServer, tmp_path: Path) -> None:
    """And says so when nobody is there."""
    async with world(aws, tmp_path) as w:
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["phase"] == "following")
            log = tmp_path / "status.log"
            table = await output(log, "status", "--url", daemon.url)
            assert "orders" in table
            assert "following" in table
            snapshot = json.loads(await output(log, "status", "--json", "--url", daemon.url))
            assert snapshot["migration"] == "scenario"
            assert snapshot["pipelines"]["orders"]["problems"] == []
            assert "no dead letters are open" in await output(log, "dead-letters", "list", "--url", daemon.url)
            assert json.loads(await output(log, "dead-letters", "list", "--json", "--url", daemon.url)) == []
            said = await output(log, "dead-letters", "retry", "orders", "--all", "--url", daemon.url)
            assert said == "no dead letters of orders are open\n"
            said = await output(log, "dead-letters", "retry", "other", "--key", "k", "--url", daemon.url, expect=2)
            assert "there is no pipeline other" in said
        said = await output(log, "status", "--url", daemon.url, expect=2)
        assert "no daemon answers" in said
        assert "Traceback" not in said


async def test_the_schema_is_json_schema(tmp_path: Path) -> None:
    """Of the whole config file, connectors included."""
    schema = json.loads(await output(tmp_path / "schema.log", "schema"))
    assert {"migration", "pipelines"} <= set(schema["required"])
    assert "DynamoDbSourceConfig" in schema["$defs"]


ADDRESSES = ("AWS:", "Cosmos DB:", "Blob Storage:", "Service Bus:")


async def test_the_sandbox_is_up_until_it_is_interrupted(tmp_path: Path) -> None:
    """And leaves no process behind."""
    async with replicator_program(tmp_path / "sandbox.log", "sandbox", "up") as program:
        await program.line("Up until interrupted")
        lines = program.log.read_text().splitlines()
        named = [line for line in lines if line.startswith((*ADDRESSES, "export SERVICEBUS_CONN"))]
        ports = [int(found[1]) for line in named if (found := re.search(r"127\.0\.0\.1:(\d+)", line))]
        assert len(ports) == len(ADDRESSES) + 1
        for port in ports:
            await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
        started = _children(program.pid)
        program.send(signal.SIGINT)
        assert await program.wait() == 0
    assert started
    assert not any(map(_runs, started))


async def test_a_sandbox_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    async with replicator_program(tmp_path / "sandbox.log", "sandbox", "up") as program:
        await program.line("Up until interrupted")
        started = _children(program.pid)
        assert len(started) == len(ADDRESSES)
        program.send(signal.SIGKILL)
        await program.wait()
    with anyio.fail_after(120):
        while any(map(_runs, started)):  # noqa: ASYNC110 -- who is not their parent is told of their end by nobody
            await anyio.sleep(0.05)


async def test_a_sandbox_is_ended_while_it_starts(tmp_path: Path) -> None:
    async with replicator_program(tmp_path / "sandbox.log", "sandbox", "up") as program:
        await program.line(" is up after ")
        program.send(signal.SIGTERM)
        assert await program.wait() == 0
    assert "Up until" not in program.text()


async def test_a_sandbox_without_what_cannot_be_installed(tmp_path: Path) -> None:
    """Without npm's registry, or a folder to install into, the rest can still be had."""
    nowhere = {"REPLICATOR_SANDBOX_CACHE": "/proc/nowhere"}
    log = tmp_path / "sandbox.log"
    async with replicator_program(log, "sandbox", "up", environment=nowhere) as program:
        assert await program.wait() == 2
    assert "the local Blob Storage does not start: Azurite cannot be kept in /proc/nowhere" in program.text()
    assert "Without it: replicator sandbox up --without blob" in program.text()
    assert "Traceback" not in program.text()
    options = ("--without", "blob", "--without", "aws")
    async with replicator_program(_fresh(log), "sandbox", "up", *options, environment=nowhere) as program:
        await program.line("Up until interrupted")
        assert len(_children(program.pid)) == 2
        program.send(signal.SIGINT)
        assert await program.wait() == 0
    lines = program.text().splitlines()
    assert [line.partition(":")[0] for line in lines if "http://" in line] == ["Cosmos DB", "Service Bus"]
    assert not [line for line in lines if line.startswith(("export AWS", "export BLOB"))]
