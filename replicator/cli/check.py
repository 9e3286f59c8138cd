"""`replicator check`: everything a run needs, looked at without changing anything."""

import ipaddress
import json
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import typer
from rich.console import Console

from connectors import registry
from replicator.cli.looking import look_at
from replicator.config.loading import load_config
from replicator.config.models import MigrationConfig, PipelineConfig
from replicator.engine.daemon import connect
from replicator.engine.pipeline import Pipeline
from replicator.errors import ConfigurationError
from replicator.model import Finding, Severity
from replicator.telemetry import configure_logging
from replicator.wording import counted

SAMPLE = 100
"""Records whose mapping is tried."""

MARKS = {Severity.OK: "[green]ok[/]", Severity.NOTE: "note", Severity.WARNING: "[yellow]warning[/]"}


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
    console = Console(soft_wrap=True)
    for finding in findings:
        mark = MARKS.get(finding.severity, "[red]error[/]")
        console.print(f"{mark:<8} ", end="")
        console.print(f"{finding.where}: {finding.message}", markup=False, highlight=False)
        if finding.fix:
            console.print(f"         → {finding.fix}", markup=False, highlight=False)


async def _check(path: Path) -> list[Finding]:
    try:
        config = load_config(path, registry())
    except ConfigurationError as error:
        return [_error(error)]
    findings = [Finding(Severity.OK, str(path), f"the config is valid: {counted(len(config.pipelines), 'pipeline')}")]
    for name, pipeline in config.pipelines.items():
        findings += await _check_pipeline(name, pipeline, config)
    return findings


async def _check_pipeline(name: str, config: PipelineConfig, migration: MigrationConfig) -> list[Finding]:
    findings: list[Finding] = []
    try:
        async with look_at(name, config, migration) as pipeline:
            findings += await _check_addresses(pipeline)
            await connect(pipeline)
            findings += await pipeline.source.check()
            findings += await pipeline.target.check()
            findings += await _check_records(pipeline)
    except ConfigurationError as error:
        findings.append(_error(error))
    return findings


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
    return refused or [Finding(Severity.OK, where, f"{maps} to the target and back")]


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


def _error(error: ConfigurationError) -> Finding:
    return Finding(Severity.ERROR, error.where, error.problem, error.fix)
