"""Where the demo keeps its files."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from replicator.errors import ConfigurationError

FOLDER = Path(".demo")
CONFIG = FOLDER / "migration.yaml"
LOG = FOLDER / "daemon.log"
LEFT_BEHIND = ("migration.yaml", "state.sqlite*", "*.log", "*.pem")


@contextmanager
def room() -> Iterator[None]:
    """The folder, ours alone meanwhile: what an earlier run has left is removed, and nothing else."""
    with _writable():
        FOLDER.mkdir(exist_ok=True)
        lock = (FOLDER / "lock").open("w")
    with lock:
        with _writable():
            _lock(lock)
            for pattern in LEFT_BEHIND:
                for old in FOLDER.glob(pattern):
                    old.unlink()
        yield


@contextmanager
def _writable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(str(FOLDER), f"cannot be written ({error})", "Go to another folder") from error


def _lock(file: TextIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigurationError(
            str(FOLDER), "another demo is running in this folder", "Wait for its end, or go to another folder"
        ) from None
