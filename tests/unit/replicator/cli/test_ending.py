"""Promise: SIGTERM ends every command, also as the first process of a container, which the kernel spares it."""

import os
import signal
from collections.abc import Iterator

import pytest

from replicator.cli.ending import end_when_terminated


@pytest.fixture
def untouched() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("untouched")
def test_the_first_process_ends_with_the_code_that_any_other_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    end_when_terminated()
    assert callable(signal.getsignal(signal.SIGTERM)), "it would end this test"
    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 143


@pytest.mark.usefixtures("untouched")
def test_any_other_leaves_it_to_the_kernel() -> None:
    before = signal.getsignal(signal.SIGTERM)
    end_when_terminated()
    assert signal.getsignal(signal.SIGTERM) is before
