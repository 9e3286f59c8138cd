"""Azurite is installed once, whole or not at all, and a failure says what to do; npm is a small program here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.azurite import installing, node
from sandbox.azurite.installing import CACHE_VARIABLE, InstallError, cache_folder, installed

NPM = """
import os, pathlib, sys
with open({calls!r}, "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
{before}
pathlib.Path("node_modules").mkdir()
pathlib.Path("node_modules/azurite").write_text("here")
"""
INSTALLER = "import sys; from sandbox.azurite.installing import installed; installed(sys.argv[1:])"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def npm(folder: Path, before: str = "") -> list[str]:
    """A command that installs, after `before`, and writes down that it was called."""
    program = folder / "npm.py"
    program.write_text(NPM.format(calls=str(folder / "calls"), before=before))
    return [sys.executable, str(program)]


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def test_it_is_installed_once_from_the_lock(tmp_path: Path, cache: Path) -> None:
    command = npm(tmp_path)
    folder = installed(command)
    assert installed(command) == folder
    assert (folder / "node_modules" / "azurite").read_text() == "here"
    assert folder.is_relative_to(cache)
    assert [line.split()[0] for line in calls(tmp_path)] == ["ci"]
    for name in installing.MANIFEST_FILES:
        assert (folder / name).read_bytes() == (installing.MANIFEST / name).read_bytes()


def test_two_processes_at_once_install_once(tmp_path: Path) -> None:
    """The npm of one ends only when the other has begun to wait for the lock."""
    held = tmp_path / "held"
    os.mkfifo(held)
    command = [sys.executable, "-c", INSTALLER, *npm(tmp_path, f"open({str(held)!r}).read()")]
    with (
        subprocess.Popen(command) as first,  # noqa: S603 -- of this test
        subprocess.Popen(command) as second,  # noqa: S603 -- of this test
        held.open("w"),  # opens once an npm reads
    ):
        wait_for_lock(first.pid, second.pid)
    assert first.returncode == second.returncode == 0
    assert len(calls(tmp_path)) == 1


def wait_for_lock(*pids: int) -> None:
    """Until the kernel lists one of the processes among those that wait for a file lock."""
    while not any(f" {pid} " in line for line in locks() if "->" in line for pid in pids):
        os.sched_yield()


def locks() -> list[str]:
    return Path("/proc/locks").read_text().splitlines()


def test_a_failed_install_leaves_nothing_and_is_tried_again(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(InstallError) as failed:
        installed(npm(tmp_path, "sys.exit('request to the registry failed')"))
    for said in ("request to the registry failed", "NPM_CONFIG_REGISTRY", CACHE_VARIABLE, installing.azurite_version()):
        assert said in str(failed.value)
    assert [path.name for path in (cache / "azurite").iterdir()] == ["lock"]
    assert installed(npm(tmp_path)).is_dir()


def test_what_a_killed_install_left_is_removed(tmp_path: Path, cache: Path) -> None:
    left = cache / "azurite" / "unfinished-old"
    left.mkdir(parents=True)
    installed(npm(tmp_path))
    assert not left.exists()


def test_an_npm_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "DEADLINE_S", 0.2)
    with pytest.raises(InstallError, match=r"did not end within 0\.2 s"):
        installed(npm(tmp_path, "import time; time.sleep(60)"))


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(InstallError, match=f"Set {CACHE_VARIABLE}"):
        installed(npm(tmp_path))


def test_the_cache_follows_the_users_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/replicator-sandbox")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "replicator-sandbox"


def test_the_lock_names_no_host_and_pins_every_package() -> None:
    packages = json.loads((installing.MANIFEST / "package-lock.json").read_text())["packages"]
    del packages[""]
    assert [name for name, package in packages.items() if "resolved" in package or "integrity" not in package] == []
    overridden = {"applicationinsights", "mysql2", "tedious"}
    assert {packages[f"node_modules/{name}"]["name"] for name in overridden} == {"tslib"}


@pytest.mark.parametrize(("version", "of_the_machine"), [("v22.0.0", True), ("v20.20.2", False), ("", False)])
def test_the_machines_node_is_taken_if_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, *, of_the_machine: bool
) -> None:
    for name in ("node", "npm"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    assert (node.find_node().program == tmp_path / "node") == of_the_machine


def test_a_machine_without_node_uses_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    found = node.find_node()
    assert node.PACKAGE in found.program.parts
    told = subprocess.run([*found.npm, "--version"], capture_output=True, check=True)  # noqa: S603 -- of the package
    assert told.stdout.strip()


def test_no_node_at_all_is_an_error_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(node, "PACKAGE", "no_such_package")
    with pytest.raises(node.NodeMissingError, match=r"install replicator\[sandbox\]"):
        node.find_node()
