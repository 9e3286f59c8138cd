"""Promise: a state that would be lost with a container, or that cannot be locked, is found beforehand."""

from pathlib import Path

import pytest

from replicator.model import Severity
from replicator.state.disk import MOUNTS, mount_of, storage

CONTAINER = """\
511 410 0:61 / / rw,relatime master:120 - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/u,workdir=/w
512 511 0:64 / /proc rw,nosuid - proc proc rw
513 511 0:65 / /run/lock rw - tmpfs shm rw,size=65536k
514 511 259:1 /var/lib/docker/volumes/state/_data /var/lib/replicator rw,relatime master:1 - ext4 /dev/nvme0n1p1 rw
515 511 259:1 /var/lib/kubelet/pods/7c/volumes/kubernetes.io~empty-dir/work /work rw,relatime - ext4 /dev/nvme0n1p1 rw
516 511 0:70 / /mnt/share rw,relatime - nfs4 files.example:/export rw,vers=4.2
517 511 0:71 / /mnt/azure\\040files rw,relatime - cifs //shop.file.core.windows.net/state rw,vers=3.1.1
518 511 0:72 / /mnt/bucket rw - fuse.blobfuse2 blobfuse2 rw
519 511 0:73 / /mnt/disk rw - tmpfs tmpfs rw
520 519 259:2 / /mnt/disk rw - xfs /dev/nvme1n1 rw
521 511 0:74 / /var/lib/replicator/cache rw shared:3 - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/app/replicator.sqlite", "on overlay, which goes with the container"),
        ("/run/lock/replicator.sqlite", "on tmpfs, which goes"),
        ("/var/lib/replicator/shop.sqlite", ""),
        ("/var/lib/replicator/cache/shop.sqlite", "on tmpfs"),
        ("/var/lib/replicator-2/shop.sqlite", "on overlay"),
        ("/work/replicator.sqlite", "in an emptyDir, which goes with its pod"),
        ("/mnt/share/replicator.sqlite", "on nfs4, where SQLite's locks cannot be relied on"),
        ("/mnt/azure files/replicator.sqlite", "on cifs"),
        ("/mnt/bucket/replicator.sqlite", "on fuse.blobfuse2"),
        ("/mnt/disk/replicator.sqlite", ""),
    ],
)
def test_where_the_state_is_lost_or_cannot_be_locked_is_a_warning_with_its_fix(path: str, message: str) -> None:
    """Whatever is mounted last and deepest is where it is stored."""
    found = storage(Path(path), CONTAINER)
    assert bool(found) == bool(message)
    for finding in found:
        assert finding.severity is Severity.WARNING
        assert f"{path} is {message}" in finding.message
        assert "type: blob" in finding.fix


def test_a_link_is_followed_to_where_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "share")
    told = f"1 0 0:1 / / rw - ext4 d rw\n2 1 0:2 / {tmp_path.resolve()}/share rw - nfs s rw\n"
    assert "on nfs" in storage(tmp_path / "link" / "state.sqlite", told)[0].message
    assert storage(tmp_path / "state.sqlite", told) == []


@pytest.mark.parametrize("told", ["", "nonsense", "1 0 0:1 / / rw\n"])
def test_where_nothing_is_told_nothing_is_found(told: str) -> None:
    assert storage(Path("/x/state.sqlite"), told) == []


@pytest.mark.skipif(not MOUNTS.exists(), reason="only Linux tells it")
def test_what_this_machine_tells_is_understood() -> None:
    mount = mount_of(Path("/proc/self"), MOUNTS.read_text())
    assert mount is not None
    assert mount.kind == "proc"
