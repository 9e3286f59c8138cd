"""Findings that several targets make: their place in the config is added by whoever collects them."""

from collections.abc import Iterable

from replicator.model import Finding, Marker, Severity


def placed(findings: Iterable[Finding], where: str) -> list[Finding]:
    """The same, about `where`."""
    return [Finding(f.severity, where, f.message, f.fix) for f in findings]


def ok(message: str) -> Finding:
    """As it should be."""
    return Finding(Severity.OK, "", message)


def note(message: str, fix: str = "") -> Finding:
    """Worth knowing."""
    return Finding(Severity.NOTE, "", message, fix)


def warning(message: str, fix: str) -> Finding:
    """A run would start, and something needs a decision."""
    return Finding(Severity.WARNING, "", message, fix)


def error(message: str, fix: str) -> Finding:
    """Stands against a run."""
    return Finding(Severity.ERROR, "", message, fix)


def ownership(name: str, marker: Marker | None, *, empty: bool) -> Finding:
    """Whose container `name` is, as the target alone can tell; only a run compares it with its state store."""
    if marker is not None and marker.obstacle:
        return error(
            f"container {name} cannot be gone on with: {marker.obstacle}",
            "Put the config back, or adopt the container with run --adopt; see docs/recovery.md",
        )
    if marker is not None:
        return note(
            f"container {name} is claimed by migration {marker.migration} in epoch {marker.epoch}",
            "A run needs the state store that has claimed it, or --adopt; see docs/recovery.md",
        )
    if empty:
        return ok(f"container {name} is empty, and no migration has claimed it")
    return error(
        f"container {name} is not empty, and no migration has claimed it",
        "Name an empty container, or adopt it with run --adopt; see docs/recovery.md",
    )
