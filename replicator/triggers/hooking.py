"""Hooks: a program that is run, a service that is told. Both may be called again after a crash: they are idempotent.

What they are given is one JSON object. What they print or answer is read, so that they do not block, and forgotten:
it may hold secrets.
"""

import json
import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import anyio
import structlog
from anyio.abc import ByteReceiveStream, Process

from replicator.errors import ConfigurationError
from replicator.model import Finding, Severity
from replicator.registry import TriggerContext
from replicator.tls import trusted_authorities
from replicator.triggers.hooks import CommandConfig, ManualConfig, OnFailure, WebhookConfig
from replicator.triggers.model import TriggerState

KILL_WAIT_S: Final = 5.0

MANUAL_FIX: Final = "See its own log; run it by hand with the input that docs/triggers.md shows"


class HookFailedError(Exception):
    """It did not do its work; the message says how, and holds nothing of what it has said."""


class Hook(ABC):
    """See `replicator.ports.Trigger`. What it switches cannot be looked at."""

    def __init__(self, context: TriggerContext, on_failure: OnFailure) -> None:
        self.where = context.where
        self._told = context.told
        self._on_failure = on_failure

    async def observe(self) -> TriggerState:
        return TriggerState(None, detail="a hook, which cannot be looked at")

    async def set_enabled(self, enabled: bool) -> None:
        try:
            await self._do(enabled=enabled)
        except HookFailedError as failure:
            if self._on_failure == "stop":
                raise ConfigurationError(self.where, str(failure), MANUAL_FIX) from failure
            structlog.get_logger().warning("a hook has failed and is passed over", hook=self.where, error=str(failure))

    async def restore(self, saved: str) -> None:  # noqa: B027 — nobody can remember what cannot be looked at
        """Never called: its state is not known."""

    async def settle(self, enabled: bool) -> None:  # noqa: B027 — it has ended
        """It was in force when it had ended."""

    def manual(self, *, enabled: bool) -> str:
        return ""

    @abstractmethod
    async def check(self) -> list[Finding]: ...

    @abstractmethod
    async def _do(self, *, enabled: bool) -> None:
        """Raises HookFailedError."""

    async def _input(self, *, enabled: bool) -> bytes:
        _, name, side = self.where.split(".", 2)
        return json.dumps({"trigger": name, "side": side, "enabled": enabled, **await self._told()}).encode()


class Command(Hook):
    """A program in a process group of its own, which is killed as a whole when its time is over."""

    def __init__(self, config: CommandConfig, context: TriggerContext) -> None:
        super().__init__(context, config.on_failure)
        self._config = config

    async def check(self) -> list[Finding]:
        findings = []
        for field, (program, *_) in (("off", self._config.off), ("on", self._config.on)):
            where = f"{self.where}.{field}"
            if _is_program(program):
                findings.append(Finding(Severity.OK, where, f"{program} is a program"))
            else:
                problem = f"{program} is no program that can be run"
                findings.append(Finding(Severity.ERROR, where, problem, "Name one by its path, and make it executable"))
        return findings

    async def _do(self, *, enabled: bool) -> None:
        command, told = self._config.on if enabled else self._config.off, await self._input(enabled=enabled)
        try:
            process = await anyio.open_process(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
            )
        except (OSError, ValueError) as error:
            raise HookFailedError(f"{command[0]} cannot be run ({type(error).__name__})") from error
        try:
            with anyio.move_on_after(self._config.timeout_s) as limit:
                await self._talk(process, told)
                await process.wait()
        finally:
            await _end(process)
        if limit.cancelled_caught:
            raise HookFailedError(f"{command[0]} did not end within {self._config.timeout_s:g} s and was killed")
        if process.returncode != 0:
            raise HookFailedError(f"{command[0]} ended with {process.returncode}")

    async def _talk(self, process: Process, told: bytes) -> None:
        """Its output is read as it comes, a piece at a time, for as long as the program itself holds it open."""
        async with anyio.create_task_group() as tasks:
            if process.stdout is not None:
                tasks.start_soon(_forget, process.stdout)
            if process.stdin is not None:
                with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):  # it need not read it
                    await process.stdin.send(told)
                await process.stdin.aclose()
            await process.wait()
            tasks.cancel_scope.cancel()


async def _forget(output: ByteReceiveStream) -> None:
    async for _ in output:
        pass


async def _end(process: Process) -> None:
    """If it has not ended by itself, nothing that it has started goes on."""
    with anyio.move_on_after(KILL_WAIT_S, shield=True):
        if process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await process.aclose()


def _is_program(name: str) -> bool:
    folders: Sequence[str] = [""] if "/" in name else os.get_exec_path()
    return any(os.access(Path(folder) / name, os.X_OK) and (Path(folder) / name).is_file() for folder in folders)


class Webhook(Hook):
    """A POST of the input."""

    def __init__(self, config: WebhookConfig, context: TriggerContext, session: aiohttp.ClientSession) -> None:
        super().__init__(context, config.on_failure)
        self._config = config
        self._session = session
        self._host = urlsplit(config.url).hostname or ""

    async def check(self) -> list[Finding]:
        note = f"the webhook at {self._host} is not tried, since that would switch something"
        return [Finding(Severity.NOTE, self.where, note, "Make sure that it answers")]

    async def _do(self, *, enabled: bool) -> None:
        headers = {"Content-Type": "application/json"}
        if self._config.token is not None:
            headers["Authorization"] = f"Bearer {self._config.token.get_secret_value()}"
        told = await self._input(enabled=enabled)
        try:
            async with self._session.post(
                self._config.url,
                data=told,
                headers=headers,
                proxy=self._config.proxy,
                allow_redirects=False,
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise HookFailedError(f"{self._host} did not answer ({type(error).__name__})") from error
        if not 200 <= status < 300:
            raise HookFailedError(f"{self._host} answered {status}")


class Manual:
    """See `replicator.ports.Trigger`. A person is asked."""

    def __init__(self, config: ManualConfig, context: TriggerContext) -> None:
        self._config = config
        self._where = context.where

    async def observe(self) -> TriggerState:
        return TriggerState(None, detail="a manual step that nobody has signed off")

    async def set_enabled(self, enabled: bool) -> None:
        """Never called: see `manual`."""

    async def restore(self, saved: str) -> None:
        """Never called."""

    async def settle(self, enabled: bool) -> None:
        """Never called."""

    def manual(self, *, enabled: bool) -> str:
        return self._config.on if enabled else self._config.off

    async def check(self) -> list[Finding]:
        return [Finding(Severity.NOTE, self._where, "a manual step: somebody must be there to do it and sign it off")]


@asynccontextmanager
async def open_command(config: CommandConfig, context: TriggerContext) -> AsyncIterator[Command]:
    """Nothing is kept open."""
    yield Command(config, context)


@asynccontextmanager
async def open_webhook(config: WebhookConfig, context: TriggerContext) -> AsyncIterator[Webhook]:
    """Closed on leaving. Raises ConfigurationError for a `ca_bundle` that cannot be used."""
    connector = aiohttp.TCPConnector(ssl=trusted_authorities(config.ca_bundle, context.where))
    timeout = aiohttp.ClientTimeout(total=config.timeout_s)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield Webhook(config, context, session)


@asynccontextmanager
async def open_manual(config: ManualConfig, context: TriggerContext) -> AsyncIterator[Manual]:
    """Nothing is kept open."""
    yield Manual(config, context)
