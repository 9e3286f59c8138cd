"""What scenarios share: programs that start quickly."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from sandbox import processes
from scenarios.preloaded import Preloaded

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def preloaded() -> Iterator[Preloaded | None]:
    """Where forking is safe."""
    if sys.platform != "linux":
        yield None
        return
    with Preloaded() as running:
        yield running


@pytest.fixture(autouse=True)
def quick_programs(preloaded: Preloaded | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are forked. A module that is about how they start puts a fixture of this name in its place."""
    if preloaded is not None:
        monkeypatch.setattr(processes, "spawn", preloaded.spawn)
