"""`replicator check`: everything a run needs, looked at without changing anything."""

import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import typer
from rich.console import Console
from rich.text import Text

from connectors import registry
from replicator.api.server import bind
from replicator.cli.client import is_loopback
from replicator.cli.looking import look_at
from replicator.config.loading import load_config
from replicator.config.models import MigrationConfig, PipelineConfig, RehearsalConfig
from replicator.engine.opening import connect
from replicator.engine.ownership import Claim
from replicator.engine.pipeline import Pipeline
from replicator.errors import ConfigurationError
from replicator.model import EVERYBODYS, Finding, Severity
from replicator.ports import StateStore
from replicator.state.moving import require_usable
from replicator.state.opening import check_state, look_at_state
from replicator.telemetry import configure_logging
from replicator.triggers.opening import open_triggers
from replicator.wording import counted

SAMPLE = 100
"""Records whose mapping is tried."""

OWNERLESS = "the target passes records on and keeps none, so nobody has to own it"

LONGEST_LOOK_S = 300.0
"""For one pipeline; a read budget that is very small may make it wait."""

COLOURS = {Severity.OK: "green", Severity.NOTE: "", Severity.WARNING: "yellow", Severity.ERROR: "red"}

CLAIMS = {
    Claim.FRESH: "the target is empty and will be claimed",
    Claim.RESUME: "the target is ours, and a run goes on from where the last one stopped",
    Claim.ADOPT: "the target is being repaired, and a run goes on with that",
}


def run_check(path: Path, *, as_json: bool) -> int:
    """0 when nothing stands against a run, 1 with warnings, 2 with errors."""
    configure_logging(as_json=True, level="error")
    findings = anyio.run(_check, path)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        _print(findings)
    worst = {finding.severity for finding in findings}
    if Severity.ERROR in worst:
        return 2
    return 1 if Severity.WARNING in worst else 0


def _print(findings: list[Finding]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for finding in findings:
        mark = Text(f"{finding.severity.value:<8} ", style=COLOURS[finding.severity])
        console.print(mark + Text(f"{finding.where}: {finding.message}"))
        if finding.fix:
            console.print(Text(f"{'':<9}→ {finding.fix}"))
    console.print(Text(_verdict(findings)))


def _verdict(findings: list[Finding]) -> str:
    errors, warnings = ([f for f in findings if f.severity is s] for s in (Severity.ERROR, Severity.WARNING))
    if errors:
        return f"{counted(len(errors), 'error')}: a run would be refused or would fail"
    if warnings:
        return f"{counted(len(warnings), 'warning')}: a run would start, and something needs a decision"
    return "nothing stands against a run"


async def _check(path: Path) -> list[Finding]:
    try:
        config = load_config(path, registry())
    except ConfigurationError as error:
        return _errors(error)
    pipelines = counted(len(config.pipelines), "pipeline")
    findings = [Finding(Severity.OK, str(path), f"the config is valid: {pipelines}")]
    try:
        async with look_at_state(config.state, registry()) as store:
            await require_usable(store, config.state.place)
            return [*findings, *await _check_all(config, store)]
    except ConfigurationError as error:
        return [*findings, *_errors(error)]


async def _check_all(config: MigrationConfig, store: StateStore) -> list[Finding]:
    """`store` is the migration's, looked at."""
    running = await _check_running(config, store)
    findings = await _findings(partial(check_state, config.state, registry()))
    findings += [await anyio.to_thread.run_sync(_resolve, "state", url) for url in config.state.endpoints]
    findings += [running or _check_address(config.http.listen)]
    for name, pipeline in config.pipelines.items():
        findings += await _check_pipeline(name, pipeline, config, None if running else store)
    return [*findings, *await _check_triggers(config)]


async def _check_triggers(config: MigrationConfig) -> list[Finding]:
    """Each by itself; one that is missing stands against a run too, since nobody would know whether it is off."""
    findings: list[Finding] = []
    try:
        async with open_triggers(config, registry()) as opened:
            for switch in opened.values():
                findings += await _findings(switch.trigger.check)
    except ConfigurationError as error:
        findings += _errors(error)
    return findings


async def _check_running(config: MigrationConfig, store: StateStore) -> Finding | None:
    """Whether a daemon holds the lease: then its marker moves on all the time, and what is its own is in use."""
    if await store.acquire_lease("check", 1.0) <= 0:
        return None
    owner = await store.lease_owner()
    return Finding(
        Severity.NOTE,
        "state",
        f"a daemon ({owner}) is running this migration or was a moment ago, so it is not looked at "
        f"whether the targets may be claimed and whether {config.http.listen} is free",
        "Stop it before another one is started",
    )


def _check_address(listen: str) -> Finding:
    try:
        with bind(listen):
            return Finding(Severity.OK, "http.listen", f"{listen} is free")
    except ConfigurationError as error:
        return _errors(error)[0]


async def _check_pipeline(
    name: str, config: PipelineConfig, migration: MigrationConfig, store: StateStore | None
) -> list[Finding]:
    """With the store of a migration that no daemon runs, also whether the target may be claimed."""
    findings: list[Finding] = []
    with anyio.move_on_after(LONGEST_LOOK_S) as longest:
        try:
            async with look_at(name, config, migration, store) as pipeline:
                findings += await _check_addresses(pipeline)
                findings += _check_rehearsal(pipeline, migration.cutover.rehearsal)
                await connect(pipeline)
                looks: list[Look] = [pipeline.source.check, pipeline.target.check, partial(_check_records, pipeline)]
                looks += [partial(_check_claim, pipeline, store)] if store else []
                for look in looks:
                    findings += await _findings(look)
        except ConfigurationError as error:
            findings += _errors(error)
    if longest.cancelled_caught:
        problem = f"did not answer everything within {LONGEST_LOOK_S:g} s"
        findings.append(Finding(Severity.ERROR, f"pipelines.{name}", problem, "Try again, and look at both services"))
    return findings


Look = Callable[[], Awaitable[list[Finding]]]


async def _findings(look: Look) -> list[Finding]:
    """What stands in the way of one look does not hide the others."""
    try:
        return await look()
    except ConfigurationError as error:
        return _errors(error)


async def _check_claim(pipeline: Pipeline[Any], store: StateStore) -> list[Finding]:
    """Whether the target is this migration's to write."""
    where = f"pipelines.{pipeline.name}.target"
    claim = await pipeline.judge(adopt=False)
    if claim is not None:
        keeps = await pipeline.target.read_marker() != EVERYBODYS
        return [Finding(Severity.OK, where, CLAIMS[claim] if keeps else OWNERLESS)]
    state = await store.load_pipeline(pipeline.name)
    reason = state.failure if state else "unknown"
    return [Finding(Severity.WARNING, where, f"the pipeline has failed ({reason})", "It stays so until run --adopt")]


async def _check_records(pipeline: Pipeline[Any]) -> list[Finding]:
    """Whether a sample of real records can be held by the target at all."""
    where = f"pipelines.{pipeline.name}"
    sample = await pipeline.source.sample(SAMPLE)
    refused: list[Finding] = []
    for change in sample:
        try:
            pipeline.target.fingerprint(change)
        except ValueError as error:
            message = f"record {change.key} cannot be held by the target: {error}"
            refused.append(
                Finding(Severity.WARNING, where, message, "It will become a dead letter; change it or its key")
            )
    maps = counted(len(sample), "sampled record maps", "sampled records map")
    if refused or not sample:
        return refused
    return [Finding(Severity.OK, where, f"{maps} to the target and back")]


def _check_rehearsal(pipeline: Pipeline[Any], demanded: RehearsalConfig) -> list[Finding]:
    """Of a rehearsal none is demanded, and only somebody who looks can tell its accounts from those of production."""
    urls = (*pipeline.source.endpoints, *pipeline.target.endpoints)
    hosts = sorted({host for url in urls if not is_loopback(host := urlsplit(url).hostname or "")})
    if not demanded.is_rehearsal or not hosts:
        return []
    problem = f"{pipeline.name} is switched without a rehearsal, and is at {', '.join(hosts)}"
    fix = "See that these are the accounts of the rehearsal; leave is_rehearsal out where they are production's"
    return [Finding(Severity.WARNING, "cutover.rehearsal.is_rehearsal", problem, fix)]


async def _check_addresses(pipeline: Pipeline[Any]) -> list[Finding]:
    """Each endpoint once; names are resolved in a thread, since a resolver may hang."""
    sides = (("source", pipeline.source.endpoints), ("target", pipeline.target.endpoints))
    return [
        await anyio.to_thread.run_sync(_resolve, f"pipelines.{pipeline.name}.{side}", url)
        for side, urls in sides
        for url in urls
    ]


def _resolve(where: str, url: str) -> Finding:
    """The addresses behind an endpoint, and whether they are private."""
    host = urlsplit(url).hostname or ""
    try:
        found = sorted({str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except OSError as error:
        return Finding(Severity.ERROR, where, f"{host} does not resolve ({error})", "Check the name and the DNS zone")
    addresses = ", ".join(f"{a} ({'private' if ipaddress.ip_address(a).is_private else 'public'})" for a in found)
    return Finding(Severity.OK, where, f"{host} resolves to {addresses}")


def _errors(error: ConfigurationError) -> list[Finding]:
    return [Finding(Severity.ERROR, each.where, each.problem, each.fix) for each in error.each or (error,)]
