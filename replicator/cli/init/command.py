"""Reads, and writes the files into a folder."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import typer

from connectors.aws.config import AwsAccess
from connectors.aws.discovery.discovering import discover
from connectors.aws.discovery.model import Discovery, NotCovered, Topic
from replicator.cli.ending import Exit
from replicator.cli.init.config_text import config_text
from replicator.cli.init.leftovers import not_covered_text, too_long
from replicator.cli.init.policies import aws_policy, azure_roles, unnamed_keys
from replicator.cli.init.proposal import Proposal, propose
from replicator.errors import ConfigurationError
from replicator.telemetry import configure_logging
from replicator.wording import counted

CONFIG, POLICY, ROLES, NOT_COVERED = "config.yaml", "aws-policy.json", "azure-roles.sh", "not-covered.md"

FILES = (CONFIG, POLICY, ROLES, NOT_COVERED)

LONGEST_S = 1800.0
"""For all that is read."""


def run_init(
    functions: Sequence[str], *, region: str | None, endpoint: str | None, out: Path, force: bool, as_json: bool
) -> Exit:
    """OK when the files are written. Raises ConfigurationError; then none is."""
    configure_logging(as_json=True, level="error")
    _require_room(out, force=force)
    access = _access(region, endpoint)
    found = anyio.run(_discover, access, functions)
    if not (found.tables or found.buckets or found.queues):
        raise ConfigurationError(
            ", ".join(found.functions),
            "no table, bucket or queue was found, so there is nothing to migrate",
            "Name other functions; " + "; ".join([line.text for line in found.not_covered][:5]),
        )
    proposal = propose(found)
    policy = aws_policy(found)
    lines = [*found.not_covered, *unnamed_keys(found), *too_long(policy)]
    texts = {
        CONFIG: config_text(proposal, _fields(found, endpoint)),
        POLICY: json.dumps(policy, indent=2) + "\n",
        ROLES: azure_roles(proposal),
        NOT_COVERED: not_covered_text(found, lines),
    }
    _write(out, texts, force=force)
    _tell(found, proposal, lines, out, as_json=as_json)
    return Exit.OK


async def _discover(access: AwsAccess, functions: Sequence[str]) -> Discovery:
    with anyio.move_on_after(LONGEST_S):
        return await discover(access, functions, lambda text: typer.echo(text, err=True))
    raise ConfigurationError("aws", f"was not read within {LONGEST_S:g} s", "Name fewer functions at once")


def _access(region: str | None, endpoint: str | None) -> AwsAccess:
    try:
        return AwsAccess(region=region, endpoint=endpoint)
    except ValueError as error:
        raise ConfigurationError("--aws-endpoint", "is no URL", "Give an address like https://host:port") from error


def _fields(found: Discovery, endpoint: str | None) -> dict[str, str]:
    """What each source and trigger is told about reaching AWS."""
    return {"region": found.catalogue.region, **({"endpoint": endpoint} if endpoint else {})}


def _require_room(out: Path, *, force: bool) -> None:
    """Before anything is read. Raises ConfigurationError."""
    there = [name for name in FILES if (out / name).exists()]
    if there and not force:
        raise ConfigurationError(
            str(out), f"{', '.join(there)} exist already and are not overwritten", "Name another --out, or give --force"
        )


def _write(out: Path, texts: Mapping[str, str], *, force: bool) -> None:
    """Without --force what somebody has made meanwhile stays."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with (out / name).open("w" if force else "x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise ConfigurationError(str(out), f"cannot be written ({error})", "Name a writable folder as --out") from error


def _tell(found: Discovery, proposal: Proposal, lines: Sequence[NotCovered], out: Path, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_summary(found, proposal, lines, out)))
        return
    for line in lines:
        if line.topic is Topic.NOT_LOOKED_AT:
            typer.echo(line.text, err=True)
    parts = (("table", found.tables), ("bucket", found.buckets), ("queue", found.queues))
    kinds = ", ".join(counted(len(of_kind), name) for name, of_kind in parts)
    typer.echo(f"found: {kinds}, {counted(len(found.entries), 'entry point', 'entry points')}")
    typer.echo(f"not covered: {counted(len(lines), 'line')}")
    for name in FILES:
        typer.echo(f"written: {os.fspath(out / name)}")
    typer.echo(f"next: set {', '.join(proposal.blanks)}, then replicator plan {os.fspath(out / CONFIG)}")


def _summary(found: Discovery, proposal: Proposal, lines: Sequence[NotCovered], out: Path) -> dict[str, Any]:
    return {
        "functions": list(found.functions),
        "tables": len(found.tables),
        "buckets": len(found.buckets),
        "queues": len(found.queues),
        "triggers": len(found.entries),
        "not_covered": {topic.name.lower(): sum(line.topic is topic for line in lines) for topic in Topic},
        "blanks": list(proposal.blanks),
        "files": {name: os.fspath(out / name) for name in FILES},
    }
