"""Which tests run against containers, what those are told, and what is said where there is no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from containers import plugin
from containers.clouds import AWS, Cloud, clouds_named
from containers.queues import config
from sandbox.servicebus import QueueSettings

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest
from containers.choice import is_chosen
from containers.clouds import Cloud

@pytest.fixture(scope="session")
def aws(request):
    return is_chosen(request, Cloud.AWS)

@pytest.fixture
def azurite(request):
    return is_chosen(request, Cloud.AZURITE)

@pytest.fixture
def broker():
    return False

@pytest.fixture
def bus(request):
    return is_chosen(request, Cloud.SERVICEBUS)
"""
TESTS = """
import pytest

def test_aws(aws): assert aws
def test_azurite(azurite): assert not azurite
def test_broker_beside_aws(aws, broker): assert aws
def test_bus(bus): assert bus
def test_bus_and_broker(bus, broker): assert not bus
def test_bus_and_broker_beside_aws(aws, bus, broker): assert aws and not bus
def test_nothing(): pass
@pytest.mark.embedded("aws", "reads its memory")
def test_memory(aws): assert not aws
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Runs these tests in a pytest of their own that asks no engine."""
    monkeypatch.setattr(plugin, "_prepare", lambda _: None)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    return lambda *options: pytester.runpytest_inprocess("-p", "containers.plugin", "-p", "no:asyncio", "-rA", *options)


def test_those_run_that_use_a_container_and_the_others_say_why_not(run: Callable[..., pytest.RunResult]) -> None:
    done = run("--containers", "aws,servicebus")
    done.assert_outcomes(passed=4, skipped=4)
    done.stdout.fnmatch_lines_random(
        [
            "*PASSED *test_aws", "*PASSED *test_broker_beside_aws", "*PASSED *test_bus",
            "*3 ran against aws", "*1 ran against servicebus",
            "*1 skipped, azurite: not asked for",
            "*1 skipped, servicebus, only embedded: looks into the broker, or steers it",
            "*1 skipped, uses no cloud that can be in a container",
            "*1 skipped, aws, only embedded: reads its memory",
        ]
    )  # fmt: skip


def test_without_the_option_nothing_is_skipped_and_all_is_embedded(run: Callable[..., pytest.RunResult]) -> None:
    """Those four fail that want a container."""
    run().assert_outcomes(passed=4, failed=4)


def test_a_cloud_that_there_is_not_is_refused(run: Callable[..., pytest.RunResult]) -> None:
    done = run("--containers", "aws,gcp")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*'gcp' is not a valid Cloud; there are aws, azurite, cosmos, servicebus and all"])


def test_clouds_are_named_one_by_one_or_all_at_once() -> None:
    assert clouds_named("aws, azurite") == {Cloud.AWS, Cloud.AZURITE}
    assert clouds_named("all") == set(Cloud)
    assert clouds_named("") == set()


def test_another_image_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(AWS.variable, raising=False)
    assert AWS.name.startswith("ministackorg/ministack:")
    monkeypatch.setenv(AWS.variable, "mine/aws")
    assert AWS.name == "mine/aws"


def test_without_an_engine_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("testcontainers", reason="only who runs containers needs it")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    from containers.engine import ContainersError, check  # noqa: PLC0415 -- it may not be there

    with pytest.raises(ContainersError, match=r"No Docker engine answers: .*DOCKER_HOST"):
        check({Cloud.AWS: (AWS,)})


def test_the_emulator_is_told_its_queues_within_what_it_can() -> None:
    told = config({"jobs": QueueSettings(sessions=True, duplicate_window_s=60, lock_s=30), "brief": QueueSettings()})
    (namespace,) = told["UserConfig"]["Namespaces"]
    jobs, brief = (queue["Properties"] for queue in namespace["Queues"])
    assert jobs["RequiresSession"]
    assert jobs["LockDuration"] == "PT30S"
    assert jobs["DuplicateDetectionHistoryTimeWindow"] == "PT60S"
    assert not brief["RequiresDuplicateDetection"]
    assert brief["DefaultMessageTimeToLive"] == "PT3600S"
