"""Promises of an Azure function as a trigger, against a small Azure Resource Manager."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from connectors.azure.functions import manager, trigger
from connectors.azure.functions.config import FunctionConfig
from connectors.azure.functions.trigger import open_function
from fakes.triggers import put_back, turn
from replicator.errors import ConfigurationError
from replicator.model import Severity
from replicator.registry import TriggerContext
from sandbox.functions import Function, FunctionsServer

NAME = "AzureWebJobs.onOrder.Disabled"

OTHERS = {"FUNCTIONS_WORKER_RUNTIME": "python", "SECRET": "hunter2", "AzureWebJobs.other.Disabled": "true"}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between attempts are shorter."""
    monkeypatch.setattr(trigger, "POLL_S", 0.02)
    monkeypatch.setattr(manager, "FIRST_PAUSE_S", 0.01)


@pytest.fixture
async def server() -> AsyncIterator[FunctionsServer]:
    async with FunctionsServer() as running:
        app = running.app("shop")
        app.settings = dict(OTHERS)
        app.functions = {"onOrder": Function(), "other": Function()}
        yield running


def opened(server: FunctionsServer, **fields: Any) -> Any:
    given = {"app": server.app_id("shop"), "function": "onOrder", "endpoint": server.endpoint, "token": server.token}
    config = FunctionConfig(type="function", **{**given, "settle_s": 5, **fields})
    return open_function(config, TriggerContext("triggers.one.azure"))


async def test_it_is_off_when_the_app_says_so_and_comes_back_with_no_setting_at_all(server: FunctionsServer) -> None:
    app = server.app("shop")
    app.lag_s = 0.1
    async with opened(server) as function:
        before = await function.observe()
        assert (before.enabled, before.settled) == (True, True)
        for _ in range(2):
            await turn(function, False)
            assert app.is_disabled("onOrder")
        assert app.settings == {**OTHERS, NAME: "true"}
        assert app.starts == 1, "the second time nothing was written"
        for _ in range(2):
            await put_back(function, before)
        assert app.settings == OTHERS
        assert app.starts == 2


async def test_it_is_activated_and_its_prior_words_come_back(server: FunctionsServer) -> None:
    app = server.app("shop")
    app.settings = {**OTHERS, "azurewebjobs.onorder.disabled": "1"}
    async with opened(server) as function:
        before = await function.observe()
        assert before.enabled is False
        await turn(function, True)
        assert not app.is_disabled("onOrder")
        assert app.settings == {**OTHERS, "azurewebjobs.onorder.disabled": "false"}
        await put_back(function, before)
        assert app.settings == {**OTHERS, "azurewebjobs.onorder.disabled": "1"}
        assert "hunter2" not in before.saved + before.detail


async def test_until_the_app_has_started_anew_it_is_not_told_to_be_off(server: FunctionsServer) -> None:
    app = server.app("shop")
    app.lag_s = 60
    app.put({**OTHERS, NAME: "true"})
    async with opened(server) as function:
        state = await function.observe()
        assert (state.enabled, state.settled) == (True, False)
    async with opened(server, settle_s=0.1) as function:
        with pytest.raises(ConfigurationError, match="is still on after"):
            await turn(function, False)


async def test_one_that_its_code_switches_off_is_off_and_cannot_be_turned_on(server: FunctionsServer) -> None:
    server.app("shop").functions["onOrder"].by_code = True
    async with opened(server, settle_s=0.1) as function:
        assert (await function.observe()).enabled is False
        with pytest.raises(ConfigurationError, match="its code switches it off"):
            await turn(function, True)


async def test_what_somebody_else_changes_at_the_same_time_is_told_without_its_value(
    server: FunctionsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigger, "LOOKS", 2)
    server.app("shop").putting = lambda given: given.update(SECRET="other")
    async with opened(server) as function:
        with pytest.raises(ConfigurationError, match="somebody else changes SECRET") as told:
            await turn(function, False)
    assert "hunter2" not in str(told.value)
    assert "other" not in str(told.value).replace("somebody else", "")


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda s: setattr(s, "status", 403), "may not be looked at or changed.*403"),
        (lambda s: setattr(s, "status", 503), "cannot be used: status 503"),
        (lambda s: s.app("shop").functions.clear(), "does not exist"),
        (lambda s: setattr(s, "token", "another"), "401/InvalidAuthenticationToken"),
    ],
    ids=["forbidden", "failing", "missing", "unauthorized"],
)
async def test_what_is_wrong_is_named(
    server: FunctionsServer, break_it: Callable[[FunctionsServer], None], why: str
) -> None:
    async with opened(server) as function:
        break_it(server)
        with pytest.raises(ConfigurationError, match=why):
            await function.observe()


async def test_check_names_what_would_fire_on_all_that_was_replicated(server: FunctionsServer) -> None:
    app = server.app("shop")
    app.functions["on-order"] = Function(bindings=[
        {"type": "cosmosDBTrigger", "startFromBeginning": True}, {"type": "blobTrigger", "path": "c/{name}"},
    ])  # fmt: skip
    async with opened(server, function="on-order") as function:
        found = await function.check()
    assert [f.severity for f in found] == [
        Severity.OK, Severity.NOTE, Severity.ERROR, Severity.WARNING, Severity.WARNING,
    ]  # fmt: skip
    assert app.starts == 0
    async with opened(server) as function:
        assert {f.severity for f in await function.check()} == {Severity.OK, Severity.NOTE}
