"""What the broker's unit tests share: a clock that moves only when told."""

from __future__ import annotations

import pytest

from sandbox.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(lambda: 1_700_000_000.0)
