"""Programs that end with whoever started them, even if that was killed."""

from __future__ import annotations

from textwrap import indent

# PR_SET_PDEATHSIG would fire when the *thread* that started the program ends.
_WATCHER = """\
import os, threading
def watch():
    os.read(0, 1)
{orphaned}
threading.Thread(target=watch, daemon=True).start()
"""


def ends_with_parent(program: str, *, orphaned: str) -> str:
    """The source of a Python program that watches its standard input: a pipe that only its parent holds.

    The parent never writes to it, so the pipe ends when the parent is gone; then `orphaned`, Python too, is to end the
    program. `os` is imported for both.
    """
    return _WATCHER.format(orphaned=indent(orphaned.strip(), " " * 4)) + program.lstrip()
