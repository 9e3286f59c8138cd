"""`python -m sandbox.workload.consumers.traffic FILE aws|azure|nowhere`: sends the application there.

A hook of a switch: it returns when the application has nothing in hand for where it was, or does not run. The file says
where it is to write; another one, with `.now` behind, where it does, as long as it runs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from sandbox.workload.consumers.settings import NOWHERE

POLL_S = 0.02
PATIENCE_S = 25.0


def wanted(file: Path) -> str:
    """Where the application is to write; nowhere as long as nobody has said it."""
    return file.read_text() if file.exists() else NOWHERE


def send_to(file: Path, where: str) -> None:
    """Says it, in a file that is never half written."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(where)
    fresh.replace(file)


def confirmation(file: Path) -> Path:
    """The file in which the application says where it writes now."""
    return file.with_name(f"{file.name}.now")


def main() -> int:
    """0 when it is so."""
    file, where = Path(sys.argv[1]), sys.argv[2]
    send_to(file, where)
    deadline = time.monotonic() + PATIENCE_S
    now = confirmation(file)
    while now.exists() and now.read_text() != where:
        if time.monotonic() > deadline:
            return 1
        time.sleep(POLL_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
