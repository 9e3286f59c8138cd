"""What a container of blobs tells for an estimate, and a probe beside the marker."""

import math
import uuid
from collections.abc import Callable
from dataclasses import replace

from azure.storage.blob.aio import ContainerClient

from connectors.azure.blob.calls import Calls
from connectors.azure.blob.config import BlobTargetConfig
from connectors.azure.blob.writing import ONE_REQUEST_BYTES
from connectors.azure.errors import AzureRefusal
from replicator.estimate.figures import Flow, Origin, TargetFigures
from replicator.estimate.probing import PLAN, TOGETHER, Probe, Probed, ProbeRefusedError, told

WRITE = "blob.write"
READ = "blob.read"
LIST = "blob.list"

LISTED_AT_ONCE = 5000
LISTED_PER_S = 5000.0
"""Assumed: a page a second."""

REQUEST_S = 0.03
"""Assumed for a request without content, at either side."""

REQUESTS_BESIDE = 4
"""What is looked at, at both sides, before and after an object is written, one after the other."""

BYTES_PER_S = 25e6
"""Assumed for one stream."""

MOST_PROBE_BYTES = 256 * 1024
"""A larger object is written in blocks, of which the probe writes one."""

NO_PLACE = "there is no container of the marker yet, so nothing can be measured: create it, or start the migration once"


def blob_figures(config: BlobTargetConfig, record_bytes: float | None, probe: str) -> TargetFigures:
    """Pure."""
    notes = () if probe else (NO_PLACE,)
    if record_bytes is None:
        return TargetFigures(probe=probe, notes=notes)
    write_s = REQUEST_S + record_bytes / BYTES_PER_S
    figures = TargetFigures(record_bytes=record_bytes, probe=probe, notes=notes)
    return _with_writes(figures, config, record_bytes, write_s, TOGETHER, Origin.ASSUMED)


def with_probe(figures: TargetFigures, config: BlobTargetConfig, probed: Probed) -> TargetFigures:
    """Pure. The same, by what the probe has found out: how long a write takes alone, and how many go on at once."""
    noted = replace(figures, notes=(*figures.notes, *told(probed)))
    record_bytes = figures.record_bytes
    if not probed.writes or record_bytes is None or not probed.slot_per_s:
        return noted
    pieces = max(1.0, record_bytes / MOST_PROBE_BYTES)
    return _with_writes(
        noted,
        config,
        record_bytes,
        pieces / probed.slot_per_s,
        probed.most_per_s / probed.slot_per_s,
        Origin.MEASURED,
    )


def _with_writes(
    figures: TargetFigures,
    config: BlobTargetConfig,
    record_bytes: float,
    write_s: float,
    at_once: float,
    origin: Origin,
) -> TargetFigures:
    """An object takes its write and the looks beside it, one after the other; `at_once` of them go on at a time."""
    slot_per_s = 1 / (write_s + REQUESTS_BESIDE * REQUEST_S)
    most = min(at_once, config.max_concurrency) * slot_per_s
    if config.max_bytes_per_s is not None and record_bytes:
        most = min(most, config.max_bytes_per_s / record_bytes)
    blocks = 0 if record_bytes <= ONE_REQUEST_BYTES else math.ceil(record_bytes / config.block_bytes)
    flow = Flow(most, origin, {WRITE: 1.0 + blocks, READ: 1.0}, slot_per_s if origin is Origin.MEASURED else None)
    return replace(
        figures,
        copy=flow,
        follow=replace(flow, slot_per_s=None),
        verify=Flow(LISTED_PER_S, Origin.ASSUMED, {LIST: 1 / LISTED_AT_ONCE}),
    )


class MarkerProbe:
    """Writes blobs of zeros into the marker's container."""

    def __init__(self, container: ContainerClient, calls: Calls, record_bytes: float) -> None:
        self._container = container
        self._calls = calls
        self._data = bytes(int(min(record_bytes, MOST_PROBE_BYTES)))

    async def run(self, most_at_once: int, widen: Callable[[int], None]) -> Probed:
        """See `Probe.run`."""
        return await Probe(f"probe/{uuid.uuid4()}", self._write, self._remove, most_at_once).run(widen)

    async def _write(self, name: str) -> float:
        blob = self._container.get_blob_client(name)
        try:
            await self._calls.write([name], lambda: blob.upload_blob(self._data, overwrite=True))
        except AzureRefusal as refusal:
            raise ProbeRefusedError(str(refusal)) from refusal
        return 1.0

    async def _remove(self, name: str) -> None:
        blob = self._container.get_blob_client(name)
        try:
            await self._calls.write([name], blob.delete_blob)
        except AzureRefusal as refusal:
            if refusal.status != 404:
                raise ProbeRefusedError(str(refusal)) from refusal


def probe_plan(container: str) -> str:
    """What is said before it is done."""
    return f"writes blobs of zeros to container {container} ({PLAN}), and deletes them"
