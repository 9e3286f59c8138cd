"""`pytest --containers aws,azurite`: these clouds come from container images, and only tests that use one of them run.

A test reaches a cloud by its fixture (`REACHED`). What can only be had from the server that is embedded says so: by a
fixture that is that server (`EMBEDDED`), or by the marker `embedded(cloud, why)`. Such tests are skipped with that
reason, unless what they use beside it is in a container.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from containers.choice import CHOSEN, EMBEDDED, REACHED
from containers.clouds import IMAGES, Cloud, clouds_named

if TYPE_CHECKING:
    from collections.abc import Callable

OPTION = "--containers"
PROPERTY = "containers"
ELSEWHERE = "uses no cloud that can be in a container"
OTHER_WORLD = "a contract, of a fake or of an embedded server"


def pytest_addoption(parser: pytest.Parser) -> None:
    names = ", ".join(Cloud)
    parser.addoption(OPTION, default="", metavar="CLOUDS", help=f"in container images: of {names}, or all")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "embedded(cloud, why): needs what only the embedded server of a cloud has")
    try:
        chosen = clouds_named(config.getoption(OPTION))
    except ValueError as error:
        raise pytest.UsageError(f"{OPTION}: {error}; there are {', '.join(Cloud)} and all") from error
    config.stash[CHOSEN] = chosen
    if chosen and not hasattr(config, "workerinput"):  # the others find the images there
        _prepare(chosen)


def _prepare(chosen: frozenset[Cloud]) -> None:
    from containers.engine import ContainersError, check  # noqa: PLC0415 -- the ordinary suite does without

    try:
        check({cloud: images for cloud, images in IMAGES.items() if cloud in chosen})
    except ContainersError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = config.stash[CHOSEN]
    if not chosen:
        return
    for item in items:
        used = _reached(item) & chosen
        needed = _needed(item)
        if used and not used & needed.keys():
            item.user_properties.append((PROPERTY, sorted(cloud.value for cloud in used)))  # plain, for xdist
        else:
            item.add_marker(pytest.mark.skip(reason=_reason(item, needed)))


def _reached(item: pytest.Item) -> set[Cloud]:
    """By fixture, or by the world that a contract is run against; not those of which it has the embedded server."""
    fixtures = getattr(item, "fixturenames", ())
    embedded = {cloud for name, (cloud, _) in EMBEDDED.items() if name in fixtures}
    reached = {cloud for name, cloud in REACHED.items() if name in fixtures} - embedded
    cloud = getattr(_params(item).get("world"), "cloud", None)
    return reached | {cloud} if cloud else reached


def _params(item: pytest.Item) -> dict[str, Any]:
    params: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return params


def _needed(item: pytest.Item) -> dict[Cloud, str]:
    """The clouds of which a test needs the embedded server, and why."""
    fixtures = getattr(item, "fixturenames", ())
    needed = dict(why for name, why in EMBEDDED.items() if name in fixtures)
    return needed | {Cloud(mark.args[0]): str(mark.args[1]) for mark in item.iter_markers("embedded")}


def _reason(item: pytest.Item, needed: dict[Cloud, str]) -> str:
    if needed:
        return "; ".join(f"{cloud}, only embedded: {why}" for cloud, why in sorted(needed.items()))
    reached = _reached(item)
    if reached:
        return f"{' and '.join(sorted(reached))}: not asked for"
    return OTHER_WORLD if "world" in _params(item) else ELSEWHERE


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """How many tests ran against which containers, and why the others did not."""
    if not config.stash[CHOSEN]:
        return
    reports: Callable[[str], list[Any]] = terminalreporter.getreports
    ran = Counter(
        " and ".join(clouds)
        for outcome in ("passed", "failed", "error")
        for report in reports(outcome)
        for name, clouds in report.user_properties
        if name == PROPERTY
    )
    skipped = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in reports("skipped"))
    terminalreporter.section("containers")
    for counted, said in ((ran, "ran against"), (skipped, "skipped,")):
        for what, count in sorted(counted.items(), key=lambda pair: -pair[1]):
            terminalreporter.write_line(f"{count:5} {said} {what}")
