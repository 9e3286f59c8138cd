"""Containers of the images, as restricted as the documentation says they may be, and gone afterwards."""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

STATE = "/var/lib/replicator"
STOP_WITHIN_S = 40
"""More than the drain deadline of 25 s: who is still there is killed, which shows in the exit code."""


@contextmanager
def volume(engine: Any) -> Iterator[Any]:
    """A new one, for the state."""
    made = engine.volumes.create(f"replicator-test-{uuid.uuid4().hex[:12]}")
    try:
        yield made
    finally:
        made.remove()


@contextmanager
def box(engine: Any, image: Any, command: list[str], **options: Any) -> Iterator[Any]:
    """A running container: the root file system can only be read, nothing is permitted to it, nobody is root."""
    restricted = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "detach": True}
    container = engine.containers.run(image, command, **restricted, **options)
    try:
        yield container
    finally:
        container.remove(force=True)


def ended(container: Any, within_s: float) -> tuple[int, str]:
    """Its exit code and what it printed, once it has ended by itself."""
    code = int(container.wait(timeout=within_s)["StatusCode"])
    return code, printed(container)


def printed(container: Any) -> str:
    """So far."""
    return str(container.logs().decode(errors="replace"))


def events(container: Any) -> list[dict[str, Any]]:
    """Its log."""
    return [json.loads(line) for line in printed(container).splitlines() if line.startswith("{")]


def run(engine: Any, image: Any, *command: str) -> tuple[int, str]:
    """Of a command in place of `replicator`: its exit code and what it printed."""
    with box(engine, image, list(command[1:]), entrypoint=[command[0]], network_mode="none") as container:
        return ended(container, 60)
