"""Promise: the images hold the versions that were tested together, what they need, and nothing besides."""

import re
import tomllib
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from unit.docs.pages import ROOT, text

PROJECT = tomllib.loads(text("pyproject.toml"))
RUN, DEMO, BUILD, ALL = (f"requirements.{name}lock" for name in ("run.", "demo.", "build.", ""))


def locked(name: str) -> dict[str, Requirement]:
    """What a lock pins, by name, for any machine."""
    entries = re.findall(r"^(\S+==.+?)(?= \\$)", text(name), flags=re.MULTILINE)
    return {canonicalize_name(one.name): one for one in map(Requirement, entries)}


def here(requirement: Requirement, extra: str = "") -> bool:
    """Whether it is needed on this machine."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def needed(requirements: list[str]) -> set[str]:
    """What these need on this machine, with all that those need in turn, by what is installed says of itself."""
    found: set[tuple[str, str]] = set()
    waiting = [(Requirement(one), "") for one in requirements]
    while waiting:
        requirement, within = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras) if here(requirement, within) else ():
            if (name, extra) not in found:
                found.add((name, extra))
                waiting += [(Requirement(one), extra) for one in requires(name) or ()]
    return {name for name, _ in found}


DEPENDENCIES: list[str] = PROJECT["project"]["dependencies"]
SANDBOX: list[str] = PROJECT["project"]["optional-dependencies"]["sandbox"]


@pytest.mark.parametrize(("lock", "wanted"), [(RUN, DEPENDENCIES), (DEMO, DEPENDENCIES + SANDBOX)])
def test_an_image_holds_what_it_needs_and_nothing_besides(lock: str, wanted: list[str]) -> None:
    assert {name for name, one in locked(lock).items() if here(one)} == needed(wanted)


@pytest.mark.parametrize("lock", [RUN, DEMO])
def test_an_image_holds_what_was_tested(lock: str) -> None:
    tested = locked(ALL)
    assert {n: one.specifier for n, one in locked(lock).items()} == {
        name: tested[name].specifier for name in locked(lock)
    }


def test_what_builds_it_is_pinned() -> None:
    wanted = Requirement(*PROJECT["build-system"]["requires"])
    (pinned,) = locked(BUILD).values()
    assert pinned.name == wanted.name
    (version,) = (one.version for one in pinned.specifier)
    assert version in wanted.specifier


@pytest.mark.parametrize("lock", [RUN, DEMO, BUILD, ALL])
def test_every_package_has_its_hashes_and_no_place(lock: str) -> None:
    """A place would name somebody's registry."""
    entries = [entry for entry in re.split(r"^(?=\S)", text(lock), flags=re.MULTILINE) if entry]
    assert len(entries) == len(locked(lock))
    assert [entry for entry in entries if "--hash=sha256:" not in entry or "://" in entry] == []


def test_every_lock_is_made_by_the_same_command() -> None:
    made = set(re.findall(r"-o (requirements\S+)", text("Makefile")))
    assert made == {path.name for path in ROOT.glob("requirements*.lock")} == {RUN, DEMO, BUILD, ALL}
