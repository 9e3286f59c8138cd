"""`replicator report`: writes what a daemon reports into two files."""

import json
from collections.abc import Mapping
from pathlib import Path

import typer

from replicator.cli.client import call, read
from replicator.errors import ConfigurationError
from replicator.report import Evidence, Report
from replicator.report.page import page


def write_report(url: str, out: Path) -> None:
    """report.json as the daemon gives it and report.html, in a folder that is made where it is missing; of what is
    sealed evidence.json too, to the byte as it was frozen.

    Raises ConfigurationError where there is no such answer, or no such folder can be written.
    """
    answer = call(url, "/v1/report", "migration")
    report = read(Report, url, answer)
    written = {"report.json": json.dumps(answer, indent=2) + "\n", "report.html": page(report)}
    if report.since_seal is not None:
        written["evidence.json"] = read(Evidence, url, call(url, "/v1/report/evidence", "evidence")).evidence
    save(out, written, "--out")
    for name in written:
        typer.echo(out / name)


def save(out: Path, files: Mapping[str, str], option: str) -> None:
    """Each of them whole or not at all, in a folder that is made where it is missing. Raises ConfigurationError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            unfinished = out / f".{name}.unfinished"
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(out / name)
    except OSError as error:
        raise ConfigurationError(option, f"{out} cannot be written: {error.strerror}", "Name another folder") from error
