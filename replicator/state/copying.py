"""A copy of a state store, to be looked at by whoever must not touch it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from replicator.state.schema import BUSY_S, unusable


def copy_state(path: Path, copy: Path) -> None:
    """Copies a state store as it is now, in use or not, and leaves no trace; nothing where there is none.

    Raises ConfigurationError when it cannot be read.
    """
    if not path.exists():
        return
    in_use = path.with_name(f"{path.name}-wal").exists()  # or else SQLite would leave such files behind
    address = f"{path.absolute().as_uri()}?{'mode=ro' if in_use else 'immutable=1'}"
    try:
        with (
            closing(sqlite3.connect(address, uri=True, timeout=BUSY_S)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
    except sqlite3.Error as error:
        raise unusable(path, error) from error
