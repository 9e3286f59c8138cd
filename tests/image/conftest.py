"""Tests of what `make image` has built, run by `make test-image`. All others skip them: they need a Docker engine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "REPLICATOR_IMAGE"
"""Names the production image; the demo is called so with `-demo` behind it."""


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """The Docker engine of this machine. Where images were asked for and it does not answer, that is an error."""
    if VARIABLE not in os.environ:
        pytest.skip("needs a Docker engine and images: make test-image")
    import docker  # noqa: PLC0415 -- the ordinary suite does without

    client = docker.from_env(timeout=120)
    yield client
    client.close()


@pytest.fixture(scope="session")
def production(engine: Any) -> Any:
    """The image."""
    return engine.images.get(os.environ[VARIABLE])


@pytest.fixture(scope="session")
def demo(engine: Any) -> Any:
    """Likewise, with the local clouds."""
    return engine.images.get(f"{os.environ[VARIABLE]}-demo")
