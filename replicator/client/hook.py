"""The hook itself: botocore tells it of each request before it is sent and after it is answered."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from replicator.client.calls import PIPELINES, Address, AsyncCalls, Attempts, Calls, Reply, Request, waiting
from replicator.client.errors import NotReplicatedError, UnknownTablesError
from replicator.client.tables import Migrated, Wait, migrated, waits
from replicator.client.writes import OPERATIONS, written

SENT = "before-call.dynamodb"

ANSWERED = "after-call.dynamodb"

BODY = "replicator_request"
"""Under which a request's body is kept in botocore's context of it."""

REFRESH_S = 60.0
"""How old may be what is known of the tables."""

Exceeded = Literal["raise", "count"]

log = logging.getLogger("replicator.client")


class _Hook:
    """What both kinds of hook share. `exceeded` counts writes that were not known to be at the target in time;
    `waited` those that were waited for, and `waited_s` how long that took in all.
    """

    def __init__(self, timeout_s: float, exceeded: Exceeded, tables: Iterable[Migrated] | None, events: Any) -> None:
        self.exceeded = 0
        self.waited = 0
        self.waited_s = 0.0
        self._timeout_s = timeout_s
        self._raises = exceeded == "raise"
        self._tables: tuple[Migrated, ...] | None = None if tables is None else tuple(tables)
        self._fresh_until = float("inf") if tables is not None else float("-inf")
        self._counting = threading.Lock()
        self._events = events

    def _register(self, **handlers: Callable[..., Any]) -> None:
        """First, so that the answer is seen before boto3's resources make it their own."""
        self._handlers = {SENT: handlers["sent"], ANSWERED: handlers["answered"]}
        for event, handler in self._handlers.items():
            self._events.register_first(event, handler)

    def _unregister(self) -> None:
        for event, handler in self._handlers.items():
            self._events.unregister(event, handler)

    def _must_learn(self, model: Any) -> bool:
        return model.name in OPERATIONS and time.monotonic() >= self._fresh_until

    def _learned(self, reply: Reply) -> None:
        """What is known already stays known while the daemon does not answer."""
        self._fresh_until = time.monotonic() + (REFRESH_S if reply.status == 200 else 1.0)
        if reply.status == 200:
            self._tables = migrated(reply.content)
        elif self._tables is None:
            self._fresh_until = float("-inf")
            self._exceed(UnknownTablesError(reply.reason))

    def _keep(self, model: Any, params: Mapping[str, Any], context: dict[str, Any]) -> None:
        if model.name in OPERATIONS:
            context[BODY] = params["body"]

    def _to_wait_for(self, http_response: Any, parsed: Mapping[str, Any], model: Any, context: Any) -> list[Wait]:
        """Nothing for a call that failed, or that writes nothing that is migrated."""
        body = context.pop(BODY, None)
        if body is None or not self._tables or http_response.status_code >= 300:
            return []
        writes = written(model.name, json.loads(body), parsed)
        return waits(self._tables, writes, context.get("client_region") or "")

    def _note(self, began: float) -> None:
        with self._counting:
            self.waited += 1
            self.waited_s += time.monotonic() - began

    def _exceed(self, error: NotReplicatedError | UnknownTablesError) -> None:
        with self._counting:
            self.exceeded += 1
        if self._raises:
            raise error
        log.warning("%s", error)


class Hook(_Hook):
    """Of a session, client or resource whose calls block. `close` ends it; it is a context manager too."""

    def __init__(self, address: Address, *about: Any) -> None:
        super().__init__(*about)
        self._calls = Calls(address)
        self._register(sent=self._sent, answered=self._answered)

    def close(self) -> None:
        """From now on nothing is waited for. Clients of a session that were made before wait on."""
        self._unregister()
        self._calls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _sent(self, *, model: Any, params: Any, context: Any, **_: Any) -> None:
        if self._must_learn(model):
            self._learned(self._calls.ask(Request(PIPELINES), Attempts(self._timeout_s)))
        self._keep(model, params, context)

    def _answered(self, *, http_response: Any, parsed: Any, model: Any, context: Any, **_: Any) -> None:
        asked = self._to_wait_for(http_response, parsed, model, context)
        if not asked:
            return
        attempts, began = Attempts(self._timeout_s), time.monotonic()
        for wait in asked:
            reply = self._calls.ask(waiting(wait, max(0.001, attempts.left_s)), attempts)
            if reply.status != 200:
                self._exceed(NotReplicatedError(wait.pipeline, reply.reason))
                return
        self._note(began)


class AsyncHook(_Hook):
    """The same for clients of aiobotocore, in one event loop. `close` ends it; it is an async context manager too."""

    def __init__(self, address: Address, *about: Any) -> None:
        super().__init__(*about)
        self._calls = AsyncCalls(address)
        self._register(sent=self._sent, answered=self._answered)

    async def close(self) -> None:
        """From now on nothing is waited for. Clients of a session that were made before wait on."""
        self._unregister()
        await self._calls.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _sent(self, *, model: Any, params: Any, context: Any, **_: Any) -> None:
        if self._must_learn(model):
            self._learned(await self._calls.ask(Request(PIPELINES), Attempts(self._timeout_s)))
        self._keep(model, params, context)

    async def _answered(self, *, http_response: Any, parsed: Any, model: Any, context: Any, **_: Any) -> None:
        asked = self._to_wait_for(http_response, parsed, model, context)
        if not asked:
            return
        attempts, began = Attempts(self._timeout_s), time.monotonic()
        for wait in asked:
            reply = await self._calls.ask(waiting(wait, max(0.001, attempts.left_s)), attempts)
            if reply.status != 200:
                self._exceed(NotReplicatedError(wait.pipeline, reply.reason))
                return
        self._note(began)


def install(
    target: Any,
    url: str,
    *,
    timeout_s: float = 10.0,
    exceeded: Exceeded = "raise",
    token: str | None = None,
    tables: Iterable[Migrated] | None = None,
    ca_bundle: str | None = None,
) -> Any:
    """Makes a session, client or resource wait after each write to a migrated table; returns its hook.

    Of a session only the clients made from now on. `url` is the daemon's. A write waits for at most `timeout_s`; then,
    or when the daemon cannot be asked, `exceeded` decides: `raise` lets the call raise NotReplicatedError, `count` lets
    it go on and counts. `token` is the daemon's http.token. Which tables are migrated is asked of the daemon before the
    first write, unless `tables` says it. An `AsyncHook` for aiobotocore and aioboto3, else a `Hook`.
    """
    if exceeded not in ("raise", "count"):
        raise ValueError(f"exceeded is raise or count, not {exceeded}")
    if timeout_s <= 0:
        raise ValueError("timeout_s must be above 0")
    kind = AsyncHook if _is_async(target) else Hook
    return kind(Address(url, token, ca_bundle), timeout_s, exceeded, tables, _events(target))


def _events(target: Any) -> Any:
    """The emitter of a client, of a resource's client, or of a session, which hands it on to its clients."""
    meta = getattr(target, "meta", None)
    if meta is not None:
        return meta.client.meta.events if hasattr(meta, "client") else meta.events
    if hasattr(target, "events"):
        return target.events
    return target.get_component("event_emitter")


def _is_async(target: Any) -> bool:
    meta = getattr(target, "meta", None)
    candidates = (target, getattr(target, "_session", None), getattr(meta, "client", None))
    return any(base.__module__.startswith("aiobotocore") for one in candidates for base in type(one).__mro__)
