"""Azurite installed once per machine and version, in a folder of the user's cache that is never seen half done.

The folder is `$REPLICATOR_SANDBOX_CACHE`, or `replicator-sandbox` in `$XDG_CACHE_HOME` or `~/.cache`. A lock that ends
with its process keeps a second first use waiting; what a killed one left behind is removed by the next.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CACHE_VARIABLE = "REPLICATOR_SANDBOX_CACHE"
MANIFEST = Path(__file__).parent
MANIFEST_FILES = ("package.json", "package-lock.json", ".npmrc")
UNFINISHED = "unfinished-"
DEADLINE_S = 600
TAIL_CHARACTERS = 2_000


class InstallError(Exception):
    """Azurite could not be installed; the message carries what npm said and what to do."""


def azurite_version() -> str:
    """The version that is pinned."""
    lock = json.loads((MANIFEST / "package-lock.json").read_text(encoding="utf-8"))
    return str(lock["packages"]["node_modules/azurite"]["version"])


def cache_folder() -> Path:
    """Where the sandbox keeps what it installs."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "replicator-sandbox"


def installed(npm: Sequence[str]) -> Path:
    """The folder whose `node_modules` holds Azurite; blocks while it is being installed. Raises InstallError.

    `npm` is the beginning of npm's command, used only if it is not there yet. The folder's name contains a digest of
    the manifest, so that another set of packages is another folder.
    """
    base = cache_folder() / "azurite"
    folder = base / f"{azurite_version()}-{_manifest_digest()}"
    if folder.is_dir():
        return folder
    try:
        base.mkdir(parents=True, exist_ok=True)
        with _locked(base / "lock"):
            if not folder.is_dir():
                _install(npm, base, folder)
    except OSError as error:
        raise InstallError(
            f"Azurite cannot be kept in {base}: {error}. Set {CACHE_VARIABLE} to a folder that can be written."
        ) from error
    return folder


def _install(npm: Sequence[str], base: Path, folder: Path) -> None:
    """Called with the lock held: whatever is unfinished there belongs to nobody."""
    for left_behind in base.glob(f"{UNFINISHED}*"):
        shutil.rmtree(left_behind, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=base))
    try:
        for name in MANIFEST_FILES:
            shutil.copyfile(MANIFEST / name, unfinished / name)
        _run_npm(npm, unfinished)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _run_npm(npm: Sequence[str], folder: Path) -> None:
    command = [*npm, "ci", "--omit=dev", "--loglevel=error"]
    try:
        done = subprocess.run(  # noqa: S603 -- npm, with constant arguments
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _failure(f"npm did not end within {DEADLINE_S} s") from error
    if done.returncode:
        said = (done.stderr + done.stdout).strip()[-TAIL_CHARACTERS:]
        raise _failure(f"npm ended with {done.returncode}: {said}")


def _failure(what: str) -> InstallError:
    return InstallError(
        f"Azurite {azurite_version()} could not be installed; {what}\n"
        f"It is installed once, from npm's registry. Let npm reach one (NPM_CONFIG_REGISTRY names another, "
        f"HTTPS_PROXY a proxy, NODE_EXTRA_CA_CERTS further certificates), or copy the folder "
        f"{cache_folder() / 'azurite'} from a machine that has it; {CACHE_VARIABLE} moves it."
    )


def _manifest_digest() -> str:
    """Of what decides the content of `node_modules`."""
    content = b"\0".join((MANIFEST / name).read_bytes() for name in MANIFEST_FILES)
    return hashlib.sha256(content).hexdigest()[:12]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Waits for the lock, which the kernel takes back when its holder is gone."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
