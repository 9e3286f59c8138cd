"""Promises of hooks: told what is going on, bounded in time, killed with all they started, no secret kept."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog.testing
from aiohttp import web

from replicator.clocks import elapsed_s
from replicator.errors import ConfigurationError
from replicator.model import Severity
from replicator.registry import TriggerContext
from replicator.triggers.hooking import Command, open_webhook
from replicator.triggers.hooks import CommandConfig, WebhookConfig


async def going_on() -> dict[str, object]:
    return {"step": "cordon", "ready": True}


CONTEXT = TriggerContext("triggers.dns.aws", going_on)

TOLD = {"trigger": "dns", "side": "aws", "step": "cordon", "ready": True}


def python(code: str, **options: Any) -> Command:
    argv = [sys.executable, "-c", code]
    return Command(CommandConfig(type="command", off=argv, on=[*argv, "on"], **options), CONTEXT)


async def test_it_is_given_what_is_going_on(tmp_path: Path) -> None:
    out = tmp_path / "told"
    command = python(f"import sys; open({str(out)!r}, 'w').write(sys.stdin.read() + '|' + ' '.join(sys.argv[1:]))")
    await command.set_enabled(True)
    told, _, arguments = out.read_text().partition("|")
    assert json.loads(told) == {**TOLD, "enabled": True}
    assert arguments == "on"
    await command.set_enabled(False)
    assert json.loads(out.read_text().partition("|")[0]) == {**TOLD, "enabled": False}


async def test_one_that_reads_nothing_and_prints_megabytes_comes_to_its_end_and_nothing_is_logged() -> None:
    with structlog.testing.capture_logs() as logs:
        await python("import sys; sys.stdin.close(); print('secret' * 1_000_000)").set_enabled(False)
    assert logs == []


async def test_what_fails_is_told_without_what_it_printed() -> None:
    with pytest.raises(ConfigurationError, match=r"triggers\.dns\.aws: .* ended with 3\.") as told:
        await python("import sys; print('secret'); sys.exit(3)").set_enabled(False)
    assert "secret" not in str(told.value)


async def test_one_that_hangs_is_killed_with_all_that_it_has_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)"
    )
    began = elapsed_s()
    with pytest.raises(ConfigurationError, match="did not end within 2 s and was killed"):
        await python(code, timeout_s=2).set_enabled(False)
    assert elapsed_s() - began < 10
    with anyio.fail_after(10):  # a process that was killed takes a moment to end
        while _is_alive(int(pid.read_text())):  # noqa: ASYNC110
            await anyio.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_failure_may_be_passed_over_and_is_logged() -> None:
    with structlog.testing.capture_logs() as logs:
        await python("raise SystemExit(1)", on_failure="continue").set_enabled(False)
    assert [log["log_level"] for log in logs] == ["warning"]


async def test_a_program_that_is_not_there_is_named() -> None:
    missing = Command(CommandConfig(type="command", off=["./nope"], on=["true"]), CONTEXT)
    with pytest.raises(ConfigurationError, match=r"\./nope cannot be run"):
        await missing.set_enabled(False)
    assert [(f.where, f.severity) for f in await missing.check()] == [
        ("triggers.dns.aws.off", Severity.ERROR), ("triggers.dns.aws.on", Severity.OK),
    ]  # fmt: skip


@asynccontextmanager
async def answering(status: int) -> AsyncIterator[tuple[str, list[tuple[str, Any]]]]:
    """A server that keeps what it was told."""
    told: list[tuple[str, Any]] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        told.append((request.headers.get("Authorization", ""), await request.json()))
        return web.Response(status=status, text="secret", headers={"Location": "/"} if status == 302 else {})

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook?key=hidden", told
    finally:
        await runner.cleanup()


async def test_a_webhook_is_told_with_its_token() -> None:
    async with answering(204) as (url, told):
        config = WebhookConfig(type="webhook", url=url, token="t0ken")
        async with open_webhook(config, CONTEXT) as hook:
            await hook.set_enabled(True)
    assert told == [("Bearer t0ken", {**TOLD, "enabled": True})]


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_a_webhook_that_answers_anything_else_has_failed(status: int) -> None:
    async with answering(status) as (url, told), open_webhook(WebhookConfig(type="webhook", url=url), CONTEXT) as hook:
        with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1 answered {status}") as error:
            await hook.set_enabled(False)
    assert len(told) == 1
    assert "hidden" not in str(error.value)


async def test_a_webhook_that_nobody_answers_is_told() -> None:
    async with answering(200) as (url, _):
        pass
    async with open_webhook(WebhookConfig(type="webhook", url=url), CONTEXT) as hook:
        with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1 did not answer") as error:
            await hook.set_enabled(False)
    assert "hidden" not in str(error.value)
