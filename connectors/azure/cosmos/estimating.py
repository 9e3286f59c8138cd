"""What a container tells for an estimate, and a probe beside the marker, where no trigger of the application looks."""

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from azure.cosmos import ThroughputProperties
from azure.cosmos.aio import ContainerProxy, DatabaseProxy

from connectors.azure.cosmos.calls import CHARGE_HEADER, Calls, Hook
from connectors.azure.cosmos.mapping import MappingRules
from connectors.azure.cosmos.sdk import Container
from connectors.azure.cosmos.writing import as_write
from connectors.azure.errors import AzureRefusal
from replicator.documents import Document
from replicator.errors import ConfigurationError
from replicator.estimate.figures import Flow, Origin, TargetFigures
from replicator.estimate.probing import PLAN, Probe, Probed, ProbeRefusedError, told
from replicator.model import Change, Rule

REQUEST_UNIT = "cosmos.request_unit"

FIRST_KB_UNITS = 8.0
FURTHER_KB_UNITS = 0.5
"""Assumed for a create, with everything indexed: the service's own examples are about 5.5 for 1 KB and 48 for 100."""

REPLACED = 2.0
"""Assumed: what replacing takes, of what creating does, since indexed values are removed and added."""

READ_KB_UNITS = 1.0

WRITTEN_PER_S = 500.0
"""Assumed without a probe: what one process writes to an account nearby."""

READ_PER_S = 2000.0
"""Assumed, in pages."""

PROBE_TTL_S = 3600
"""Where removing fails, what the probe has written expires, if the marker's container has a time to live."""

NO_PLACE = "there is no container of the marker yet, so nothing can be measured: create it, or start the migration once"

PROBE_ID = "~~probe-"
"""No key of a record, and no marker, is encoded to an id that begins so."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Request units a second: `most_per_s` is the least of all known limits, None where there is none."""

    most_per_s: float | None
    notes: tuple[str, ...] = ()


def document_bodies(sample: Sequence[Change[Document]], rules: MappingRules, now: datetime) -> list[dict[str, Any]]:
    """The documents that the copy would write for these; what cannot be held is left out."""
    bodies: list[dict[str, Any]] = []
    for change in sample:
        try:
            write = as_write(change, Rule.COPY, rules, now)
        except ValueError:
            continue
        bodies.extend([write.document.body] if write else ())
    return bodies


def container_figures(
    bodies: Sequence[dict[str, Any]], record_bytes: float | None, throughput: Throughput, probe: str
) -> TargetFigures:
    """Pure. Documents that nobody has seen are taken to be as large as the source's records."""
    mapped = sum(map(size_bytes, bodies)) / len(bodies) if bodies else None
    size = mapped if mapped is not None else record_bytes
    if size is None:
        return TargetFigures(probe=probe, notes=throughput.notes)
    kb = max(1.0, size / 1024)
    figures = TargetFigures(record_bytes=mapped, probe=probe, notes=throughput.notes)
    return _with_writes(figures, FIRST_KB_UNITS + FURTHER_KB_UNITS * (kb - 1), WRITTEN_PER_S, throughput, kb)


def with_probe(figures: TargetFigures, probed: Probed, throughput: Throughput, size: float) -> TargetFigures:
    """Pure. The same, by what the probe has found out."""
    noted = replace(figures, notes=(*figures.notes, *told(probed)))
    if not probed.writes:
        return noted
    measured = _with_writes(noted, probed.units, probed.most_per_s, throughput, max(1.0, size / 1024))
    return replace(
        measured,
        copy=replace(measured.copy, origin=Origin.MEASURED, slot_per_s=probed.slot_per_s),
        follow=replace(measured.follow, origin=Origin.MEASURED),
    )


def _with_writes(
    figures: TargetFigures, units: float, per_s: float, throughput: Throughput, kb: float
) -> TargetFigures:
    def flow(each: float, most_per_s: float) -> Flow:
        limit = throughput.most_per_s
        most = most_per_s if limit is None or not each else min(most_per_s, limit / each)
        return Flow(most, Origin.ASSUMED, {REQUEST_UNIT: each})

    return replace(
        figures,
        copy=flow(units, per_s),
        follow=flow(units * REPLACED, per_s),
        verify=flow(kb * READ_KB_UNITS, READ_PER_S),
    )


def size_bytes(body: dict[str, Any]) -> int:
    """As it is sent."""
    return len(json.dumps(body).encode())


def filler(value: Any) -> Any:
    """A value of the same shape and size that tells nothing: what a probe writes is nobody's data."""
    match value:
        case dict():
            return {str(place).ljust(len(name), "x"): filler(value[name]) for place, name in enumerate(value)}
        case list():
            return [filler(inner) for inner in value]
        case str():
            return "x" * len(value.encode())
        case bool() | None:
            return value
        case _:
            return int("1" * min(len(str(value)), 15))


def typical(bodies: Sequence[dict[str, Any]], size: float) -> dict[str, Any]:
    """The one of about this size."""
    return min(bodies, key=lambda body: abs(size_bytes(body) - size), default={})


async def read_throughput(
    container: ContainerProxy, database: DatabaseProxy, calls: Calls, where: str, *, exists: bool
) -> Throughput:
    """As provisioned for the container, or for its database, which shares it. A data-plane role may not read it."""
    if not exists:
        return Throughput(None)
    for owner, note in ((container, ""), (database, "its throughput is shared with the database's other containers")):

        async def read(_: Hook, owner: ContainerProxy | DatabaseProxy = owner) -> ThroughputProperties:
            return await owner.get_throughput()

        try:
            found = await calls.probe(where, read)
        except AzureRefusal:
            continue
        except ConfigurationError as error:
            return Throughput(None, (f"its provisioned throughput cannot be read, so it is no limit here: {error}",))
        units = found.auto_scale_max_throughput or found.offer_throughput
        return Throughput(float(units) if units else None, (note,) if note else ())
    return Throughput(None, ("it has no provisioned throughput (serverless): what it takes at most is not known",))


class MarkerProbe:
    """Writes documents of made-up values into the marker's container, each a partition of its own."""

    def __init__(self, container: Container, calls: Calls, body: dict[str, Any], mapped: Callable[[], object]) -> None:
        """`mapped` maps one record, whose time counts as it does in a copy."""
        self._container = container
        self._calls = calls
        self._body = filler(body)
        self._mapped = mapped

    async def run(self, most_at_once: int, widen: Callable[[int], None]) -> Probed:
        """See `Probe.run`."""
        return await Probe(f"{PROBE_ID}{uuid.uuid4()}", self._write, self._remove, most_at_once).run(widen)

    async def _write(self, name: str) -> float:
        charges: list[float] = []
        self._mapped()

        async def send(hook: Hook) -> None:
            def answered(headers: Any, *more: object) -> None:
                charges.append(float(headers.get(CHARGE_HEADER) or 0.0))
                hook(headers, *more)

            body = {**self._body, "id": name, "ttl": PROBE_TTL_S}
            await self._container.upsert_item(body, response_hook=answered)

        try:
            await self._calls.write([name], send)
        except AzureRefusal as refusal:
            raise ProbeRefusedError(str(refusal)) from refusal
        return charges[-1] if charges else 0.0

    async def _remove(self, name: str) -> None:
        async def send(hook: Hook) -> None:
            await self._container.delete_item(name, name, response_hook=hook)

        try:
            await self._calls.write([name], send)
        except AzureRefusal as refusal:
            if refusal.status != 404:
                raise ProbeRefusedError(str(refusal)) from refusal


def probe_plan(database: str, container: str) -> str:
    """What is said before it is done."""
    return f"writes made-up documents to container {container} of database {database} ({PLAN}), and deletes them"
