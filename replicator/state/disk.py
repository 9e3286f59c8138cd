"""What a file of the state is stored on, as Linux tells it: what goes with a container, and what SQLite cannot lock."""

import re
from dataclasses import dataclass
from pathlib import Path

from replicator.model import Finding, Severity

MOUNTS = Path("/proc/self/mountinfo")

EPHEMERAL = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs", "tmpfs", "ramfs"})
"""The layer of a container, and memory."""

EMPTY_DIR = "/kubernetes.io~empty-dir/"
"""In the path, on the node's disk, of a volume that goes with its pod."""

NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p"})
"""Shared by hosts that do not see each other's locks, or not in time. So are those of user space (`fuse.…`)."""

ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system of type `kind` whose directory `root` is seen at `point`."""

    root: str
    point: Path
    kind: str


def mount_of(path: Path, mountinfo: str) -> Mount | None:
    """Where an absolute path without links is stored; None where that is not told. Pure.

    Of several at one place the last one hides the others.
    """
    found: Mount | None = None
    for mount in filter(None, map(_read, mountinfo.splitlines())):
        deeper = found is None or len(mount.point.parts) >= len(found.point.parts)
        if deeper and path.is_relative_to(mount.point):
            found = mount
    return found


def storage(path: Path, mountinfo: str) -> list[Finding]:
    """What speaks against keeping the state there. Pure but for links, which are followed."""
    mount = mount_of(path.absolute().resolve(), mountinfo)
    if mount is None:
        return []
    if EMPTY_DIR in mount.root:
        return [_gone(path, "in an emptyDir, which goes with its pod")]
    if mount.kind in EPHEMERAL:
        return [_gone(path, f"on {mount.kind}, which goes with the container or with a restart of the machine")]
    if mount.kind in NETWORK or mount.kind.startswith("fuse."):
        return [_shared(path, mount.kind)]
    return []


def _gone(path: Path, where: str) -> Finding:
    return Finding(
        Severity.WARNING,
        "state.path",
        f"{path} is {where}: to lose the state means to repair every target",
        "Name a file in a volume that stays, or keep the state in blobs (type: blob); see docs/state.md",
    )


def _shared(path: Path, kind: str) -> Finding:
    return Finding(
        Severity.WARNING,
        "state.path",
        f"{path} is on {kind}, where SQLite's locks cannot be relied on: two daemons may write the file, and damage it",
        "Name a file on a local disk or a block volume, or keep the state in blobs (type: blob); see docs/state.md",
    )


def _read(line: str) -> Mount | None:
    """A line of `mountinfo`; see proc(5)."""
    fields, _, rest = line.partition(" - ")
    told, kind = fields.split(" "), rest.split(" ")[0]
    return Mount(_plain(told[3]), Path(_plain(told[4])), kind) if len(told) > 4 and kind else None


def _plain(escaped: str) -> str:
    return ESCAPED.sub(lambda found: chr(int(found[1], 8)), escaped)
