"""How this program was started, for commands that people are told to run."""

import os
import shlex
import shutil
import sys
from pathlib import Path


def own_command() -> str:
    """What to type for this very program, in this folder: its name where the shell finds it, or else its path."""
    program = Path(sys.argv[0])
    if not os.access(program, os.X_OK) or program.is_dir():  # by `python -m`, or from within another program
        return f"{shlex.quote(sys.executable)} -m replicator"
    if (found := shutil.which(program.name)) and Path(found).resolve() == program.resolve():
        return program.name
    path = program.absolute()
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
