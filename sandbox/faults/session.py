"""One client connection in HTTP mode: requests in, the first rule that strikes decides, responses out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from sandbox.faults import rules as faults
from sandbox.faults.connection import connect
from sandbox.faults.wire import (
    CONTINUE,
    body_parts,
    buffer_body,
    build_head,
    edited_head,
    read_request,
    read_response,
)

if TYPE_CHECKING:
    from sandbox.faults.connection import Connection
    from sandbox.faults.late import LateDeliveries
    from sandbox.faults.link import Link
    from sandbox.faults.rewrite import Rewriter
    from sandbox.faults.rules import Rule, RuleBook
    from sandbox.faults.wire import Message


class Session:
    """Serves one client over at most one connection to the target, both kept alive while both sides agree."""

    def __init__(
        self,
        client: Connection,
        link: Link,
        book: RuleBook,
        late: LateDeliveries,
        rewriter: Rewriter | None,
    ) -> None:
        self._client = client
        self._link = link
        self._book = book
        self._late = late
        self._rewriter = rewriter
        self._target: Connection | None = None

    async def serve(self) -> None:
        """Answer requests until one side closes, or a fault or an error cuts the client off."""
        try:
            while (request := await read_request(self._client)) is not None:
                if not await self._handle(request):
                    break
            self._client.close()
        except OSError:  # one side went away: so does the other
            self._client.reset()
        finally:
            self._client.on_gone = None
            self._drop_target()

    async def _handle(self, request: Message) -> bool:
        """Deal with one request; whether the client's connection may carry another."""
        counters = self._link.counters
        counters.requests += 1
        counters.rate.count()
        rule = await self._struck_by(request) if self._book.rules else None
        if rule is None:
            return await self._forward(request)
        counters.struck[rule.spec.action.kind] += 1
        return await self._apply(rule, request)

    async def _struck_by(self, request: Message) -> Rule | None:
        candidates = self._book.candidates(request)
        if any(rule.spec.body for rule in candidates):
            await self._buffer(request)
        return self._book.choose(candidates, request)

    async def _apply(self, rule: Rule, request: Message) -> bool:
        match rule.spec.action:
            case faults.Delay(seconds=seconds):
                await anyio.sleep(seconds)
                return await self._forward(request)
            case faults.Stall():
                return await self._stall(rule) and await self._forward(request)
            case faults.Answer() as answer:
                return await self._answer(answer, request)
            case faults.Duplicate():
                return await self._duplicate(request)
            case faults.EditBody(pattern=pattern, replacement=replacement):
                await self._buffer(request)
                request.set_content(pattern.sub(replacement, request.content.decode()).encode())
                return await self._forward(request)
            case faults.HoldDelivery(seconds=held_s):
                await self._buffer(request)
                self._late.hold(request, held_s)
            case faults.CutAfter():
                await self._take_effect(request)
            case _:  # CutBefore; Pass never gets here
                pass
        self._client.reset()
        return False

    async def _forward(self, request: Message) -> bool:
        """Relay the request and its response. If the client leaves meanwhile, the target is left as well."""
        target, response = await self._exchange(request, leave_with_client=True)
        if self._rewriter and self._rewriter.concerns(response):
            await buffer_body(target, response)
            self._rewriter.rewrite(response)
        await self._relay(response, target, self._client)
        self._client.on_gone = None
        return self._finish(request, response)

    async def _stall(self, rule: Rule) -> bool:
        """Wait until the rule is lifted (True) or the client leaves (False)."""
        with anyio.CancelScope() as waiting:
            self._client.on_gone = waiting.cancel
            if not self._client.ended:
                await rule.lifted.wait()
        self._client.on_gone = None
        return rule.lifted.is_set() and not self._client.ended

    async def _answer(self, answer: faults.Answer, request: Message) -> bool:
        await self._invite_body(request)
        async for _ in body_parts(self._client, request):
            pass  # the connection stays in step
        body = b"" if request.method == "HEAD" else answer.body
        head = build_head(f"HTTP/1.1 {answer.status} Fault", answer.headers, len(answer.body))
        await self._link.flowing()
        await self._client.send(head + body)
        return request.keeps_alive

    async def _duplicate(self, request: Message) -> bool:
        await self._buffer(request)
        target, first = await self._exchange(request)
        await buffer_body(target, first)
        keep = self._finish(request, first)
        await self._take_effect(request)
        await self._relay(first, target, self._client)
        return keep

    async def _take_effect(self, request: Message) -> None:
        """Let the target carry the request out; its response is read to the end and dropped."""
        target, response = await self._exchange(request)
        async for _ in body_parts(target, response):
            pass
        self._finish(request, response)

    async def _exchange(self, request: Message, *, leave_with_client: bool = False) -> tuple[Connection, Message]:
        """Send the request to the target; the target and the head of its response.

        Raises OSError if the target is down or drops the connection, or the client ends inside its request.
        """
        await self._link.flowing()
        if self._target is None or self._target.ended:
            self._drop_target()
            self._target = await connect(self._link.target_host, self._link.target_port)
        target = self._target
        self._link.counters.forwarded += 1
        await self._invite_body(request)
        try:
            await self._relay(request, self._client, target)
        except ConnectionError:
            if not target.buffered:
                raise
            request.headers["connection"] = "close"  # it answered without reading the whole request
        if leave_with_client and not self._client.ended:
            self._client.on_gone = target.reset
        return target, await read_response(target, request.method)

    def _finish(self, request: Message, response: Message) -> bool:
        """After a whole response: keep the target's connection if it may be; whether the client's may be."""
        if not response.keeps_alive:
            self._drop_target()
        return request.keeps_alive and response.keeps_alive

    async def _relay(self, message: Message, source: Connection, sink: Connection) -> None:
        """Pass a message on; head and body go out together when the body is already there."""
        unsent = message.head
        if message.body is None and message.length != 0 and not source.buffered:
            await self._link.flowing()
            await sink.send(unsent)
            unsent = b""
        async for part in body_parts(source, message):
            await self._link.flowing()
            await sink.send(unsent + part)
            unsent = b""
        if unsent:
            await self._link.flowing()
            await sink.send(unsent)

    async def _buffer(self, request: Message) -> None:
        if request.body is None:
            await self._invite_body(request)
            await buffer_body(self._client, request)

    async def _invite_body(self, request: Message) -> None:
        """Answer `Expect: 100-continue` ourselves, once, since the body may have to be held."""
        if request.headers.pop("expect", None) is not None:
            request.head = edited_head(request.head, drop={"expect"})
            await self._client.send(CONTINUE)

    def _drop_target(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            target.reset()
