"""What rehearsals of a switch share: commands that ask the daemon, waiting for a step, what holds one open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from sandbox.processes import replicator_program
from scenarios.migration import Daemon
from scenarios.shop import Shop


async def asked(daemon: Daemon, path: str) -> Mapping[str, Any]:
    """What it answers, or nothing where it takes seconds for that on a busy machine: whoever waits asks again."""
    try:
        _, told = await daemon.get(path)
    except TimeoutError:
        return {}
    found: Mapping[str, Any] = told
    return found


async def switched_to(daemon: Daemon, stage: str, deadline_s: float = 120) -> Mapping[str, Any]:
    """How the switch stands when it has come to that."""
    told: Mapping[str, Any] = {}
    with anyio.move_on_after(deadline_s):
        while told.get("stage") != stage:
            told = await asked(daemon, "/v1/cutover/switch")
            await anyio.sleep(0.05)
    assert told.get("stage") == stage, told
    return told


async def waits_in(daemon: Daemon, step: str, what: str = "", deadline_s: float = 60) -> None:
    """Returns when the switch is in this step, and waits for this."""
    told: Mapping[str, Any] = {}
    with anyio.move_on_after(deadline_s):
        while True:
            told = await asked(daemon, "/v1/cutover/switch")
            last = told["steps"][-1] if told.get("steps") else {"step": None, "ended_at": None}
            if last["step"] == step and last["ended_at"] is None and what in told["waiting_for"]:
                return
            await anyio.sleep(0.05)
    raise AssertionError(f"not in {step} within {deadline_s} s: {told}")


async def said(s: Shop, daemon: Daemon, expect: int, *arguments: str) -> str:
    """What a command prints that asks the daemon."""
    log = s.folder / f"{'-'.join(arguments[:2])}.log"
    log.unlink(missing_ok=True)
    program = replicator_program(log, *arguments, "--url", daemon.url, environment=s.environment)
    async with program:
        code, text = await program.wait(150), program.text()
    assert code == expect, text
    return text


async def ready(daemon: Daemon, deadline_s: float = 60) -> None:
    found: Mapping[str, Any] = {}
    with anyio.move_on_after(deadline_s):
        while not found.get("ready"):
            await anyio.sleep(0.1)
            found = await asked(daemon, "/v1/cutover")
    assert found.get("ready"), found.get("reasons")


async def restart(daemon: Daemon) -> None:
    await daemon.kill()
    await daemon.start()


async def begin_upload(s: Shop, key: str) -> dict[str, str]:
    where = {"Bucket": s.bucket, "Key": key}
    return where | {"UploadId": (await s.clients["s3"].create_multipart_upload(**where))["UploadId"]}


async def something_of_each(s: Shop, side: str, name: str = "") -> None:
    """Returns when an application has written something of every kind there."""
    with anyio.fail_after(30):
        while {e.kind for e in s.written() if e.side == side and e.event.startswith(name)} < s.kinds:  # noqa: ASYNC110
            await anyio.sleep(0.05)
