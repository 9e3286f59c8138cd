"""A function of a function app, switched by its own application setting; all others are left as they are."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import anyio

from connectors.azure.credentials import default_credential
from connectors.azure.functions.config import PUBLIC_ENDPOINT, FunctionConfig
from connectors.azure.functions.manager import ROLE_FIX, Manager, Token
from connectors.azure.functions.settings import Settings, is_off, ours, put_back, turned
from connectors.azure.probing import TOKEN_TIMEOUT_S
from connectors.azure.transport import open_session
from replicator.errors import ConfigurationError
from replicator.model import Finding, Severity
from replicator.registry import TriggerContext
from replicator.triggers.model import TriggerState

POLL_S: Final = 1.0

LOOKS: Final = 5


class FunctionTrigger:
    """See `replicator.ports.Trigger`."""

    def __init__(self, manager: Manager, config: FunctionConfig, where: str) -> None:
        self._manager = manager
        self._config = config
        self._function = config.function
        self._where = where

    async def observe(self) -> TriggerState:
        """Off only when the app itself says so, where it tells: settings come into force when it has started anew."""
        settings, found = await self._manager.settings(), await self._manager.function()
        known = ours(settings, self._function)
        by_setting, by_app = is_off(settings, self._function), found.get("isDisabled")
        off = by_setting if by_app is None else bool(by_app)
        settled = not known or off == by_setting
        detail = f"function {self._function}: {'off' if off else 'on'}"
        if off != by_setting:
            detail += f", while its setting says {'off' if by_setting else 'on'}"
        return TriggerState(not off, settled, json.dumps({"settings": known}), detail)

    async def set_enabled(self, enabled: bool) -> None:
        settings = await self._manager.settings()
        await self._put(settings, turned(settings, self._function, enabled=enabled))

    async def restore(self, saved: str) -> None:
        settings = await self._manager.settings()
        await self._put(settings, put_back(settings, self._function, json.loads(saved)["settings"]))

    async def settle(self, enabled: bool) -> None:
        """Until the app says so; one that never tells is believed."""
        with anyio.move_on_after(self._config.settle_s):
            while (await self._manager.function()).get("isDisabled") is enabled:  # noqa: ASYNC110 — it tells nobody
                await anyio.sleep(POLL_S)
            return
        problem = f"function {self._function} is still {'off' if enabled else 'on'} after {self._config.settle_s:g} s"
        fix = "See whether the app has started anew" + (
            ", and whether its code switches it off, too" if enabled else ""
        )
        raise ConfigurationError(self._where, problem, fix)

    def manual(self, *, enabled: bool) -> str:
        return ""

    async def check(self) -> list[Finding]:
        state, found = await self.observe(), await self._manager.function()
        untried = "Microsoft.Web/sites/config/write is not tried, since that would start the app anew"
        findings = [
            Finding(Severity.OK, self._where, state.detail),
            Finding(Severity.NOTE, self._where, untried, ROLE_FIX),
        ]
        if "-" in self._function and "linux" in (await self._manager.kind()).casefold():
            problem = f"function {self._function} has a hyphen in its name, and an app on Linux takes no such setting"
            findings.append(Finding(Severity.ERROR, self._where, problem, "Rename it, or use a manual step"))
        return [*findings, *(self._warning(text) for text in replays(found))]

    def _warning(self, text: str) -> Finding:
        return Finding(Severity.WARNING, self._where, text, "See docs/triggers.md")

    async def _put(self, before: Settings, wanted: Settings) -> None:
        """Raises ConfigurationError where what is there afterwards is something else."""
        if dict(before) == dict(wanted):
            return
        await self._manager.put_settings(wanted)
        differing: list[str] = []
        for _ in range(LOOKS):
            now = await self._manager.settings()
            differing = sorted(n for n in {*now, *wanted} if now.get(n) != wanted.get(n))
            if not differing:
                return
            await anyio.sleep(POLL_S)
        problem = (
            f"settings are not as they were written: somebody else changes {', '.join(differing)} at the same time"
        )
        raise ConfigurationError(self._where, problem, "Look at these settings, and do it again")


def replays(found: Mapping[str, Any]) -> list[str]:
    """What makes a function go through everything that was replicated, as far as its bindings tell. Pure."""
    config = found.get("config")
    bindings = config.get("bindings") if isinstance(config, dict) else None
    told = []
    for binding in bindings if isinstance(bindings, list) else []:
        kind = str(binding.get("type", "")).casefold()
        if kind == "cosmosdbtrigger" and str(binding.get("startFromBeginning", "")).casefold() == "true":
            told.append("its change feed starts from the beginning: every replicated document triggers it")
        if kind == "blobtrigger" and str(binding.get("source", "")).casefold() != "eventgrid":
            told.append("it looks through all blobs, so that every replicated one triggers it")
    return told


@asynccontextmanager
async def open_function(config: FunctionConfig, context: TriggerContext) -> AsyncIterator[FunctionTrigger]:
    """Closed on leaving. Calls nobody yet."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session(config, context.where))
        token = await _token(config, context.where, stack)
        yield FunctionTrigger(Manager(session, config, token, context.where), config, context.where)


async def _token(config: FunctionConfig, where: str, stack: AsyncExitStack) -> Token:
    if config.token is not None:
        secret = config.token.get_secret_value()

        async def given() -> str:
            return secret

        return given
    from azure.core.exceptions import ClientAuthenticationError  # noqa: PLC0415 — a token needs no SDK

    credential = await stack.enter_async_context(default_credential())
    scope = f"{(config.endpoint or PUBLIC_ENDPOINT).rstrip('/')}/.default"

    async def fetched() -> str:
        """From the SDK's cache as long as it lasts."""
        try:
            with anyio.fail_after(TOKEN_TIMEOUT_S):
                return str((await credential.get_token(scope)).token)
        except (ClientAuthenticationError, TimeoutError) as error:
            problem = f"there is no credential for {config.endpoint} ({type(error).__name__})"
            raise ConfigurationError(where, problem, "See docs/permissions.md") from error

    return fetched
