"""Calls between two replicas, in both directions over one connection.

A message is JSON in UTF-8 behind its length, four bytes in network order. A call has an `id`, a `method` and
`params`; its answer has the same `id` and either a `result` or an `error`. What has no `id` is not answered. Messages
arrive in the order in which they were sent; calls are worked on beside each other.
"""

import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import anyio
import structlog
from anyio.abc import ByteStream, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream

LENGTH_BYTES = 4

MOST_BYTES = 64 * 1024 * 1024
"""Of one message; a page of dead letters with what they hold is the largest."""

Params: TypeAlias = dict[str, Any]

Handler: TypeAlias = Callable[[Params], Awaitable[Any]]

Broken = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, anyio.IncompleteRead, OSError)


class ChannelClosedError(Exception):
    """The other replica is gone, or cannot be reached: nobody knows what became of a call that was under way."""


class MalformedError(OSError):
    """The other end does not speak as a replica does."""


class RefusedError(Exception):
    """The other replica has answered that it will not, or could not, do what was asked."""


class Channel:
    """One end of a connection. `handlers` answer calls; `told` takes what is not answered, at once and in order.

    `most_bytes` is what a message of the other end may have. One that is larger, or none at all, ends the connection.
    """

    def __init__(
        self, stream: ByteStream, handlers: Mapping[str, Handler], told: Mapping[str, Callable[[Params], None]]
    ) -> None:
        self.most_bytes = MOST_BYTES
        self._stream = stream
        self._handlers = handlers
        self._told = told
        self._ids = itertools.count(1)
        self._waiting: dict[int, _Answer] = {}
        self._sending = anyio.Lock()
        self._closed = False

    async def serve(self) -> None:
        """Reads until the connection ends, whoever ends it; then every call under way fails."""
        received = BufferedByteReceiveStream(self._stream)
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    length = int.from_bytes(await received.receive_exactly(LENGTH_BYTES), "big")
                    if length > self.most_bytes:
                        raise MalformedError(f"a message of {length} bytes, more than {self.most_bytes}")
                    self._take(_parsed(await received.receive_exactly(length)), tasks)
        except* Broken:
            pass
        finally:
            await self.close()

    async def call(self, method: str, params: Params) -> Any:
        """The result. Raises RefusedError, or ChannelClosedError when the connection ends before there is an answer."""
        id_, answer = next(self._ids), _Answer()
        if self._closed:
            raise ChannelClosedError(method)
        self._waiting[id_] = answer
        try:
            await self._send({"id": id_, "method": method, "params": params})
            return await answer.got(method)
        finally:
            del self._waiting[id_]

    async def tell(self, method: str, params: Params) -> None:
        """Without an answer. Raises ChannelClosedError when it surely did not arrive."""
        await self._send({"method": method, "params": params})

    async def close(self) -> None:
        """Ends it at once. Idempotent."""
        self._closed = True
        for answer in self._waiting.values():
            answer.closed()
        await anyio.aclose_forcefully(self._stream)

    def _take(self, message: Params, tasks: TaskGroup) -> None:
        if "method" not in message:
            answer = self._waiting.get(message.get("id", 0))
            if answer is not None:
                answer.give(message)
        elif "id" in message:
            tasks.start_soon(self._answer, message)
        elif message["method"] in self._told:
            self._told[message["method"]](message["params"])

    async def _answer(self, message: Params) -> None:
        answer: Params = {"id": message["id"]}
        handler = self._handlers.get(message["method"], _unknown)
        try:
            answer["result"] = await handler(message["params"])
        except RefusedError as error:
            answer["error"] = str(error)
        try:
            await self._send(answer)
        except ChannelClosedError:
            structlog.get_logger().debug("nobody waits for this answer any more", method=message["method"])

    async def _send(self, message: Params) -> None:
        data = json.dumps(message, separators=(",", ":")).encode()
        try:
            async with self._sending:
                with anyio.CancelScope(shield=True):  # half a message would be the end of the connection
                    await self._stream.send(len(data).to_bytes(LENGTH_BYTES, "big") + data)
        except Broken as error:
            await self.close()
            raise ChannelClosedError(str(error)) from error


def _parsed(data: bytes) -> Params:
    """Raises MalformedError."""
    try:
        message = json.loads(data)
    except ValueError as error:
        raise MalformedError("no JSON") from error
    kinds: dict[str, type] = {"id": int, "method": str, "params": dict}
    if not isinstance(message, dict) or any(
        not isinstance(message.get(name, kind()), kind) for name, kind in kinds.items()
    ):
        raise MalformedError("no message")
    return {"params": {}, **message} if "method" in message else message


async def _unknown(params: Params) -> None:
    raise RefusedError(f"this is not known here, with {', '.join(params)}")


class _Answer:
    """What one call waits for."""

    def __init__(self) -> None:
        self._message: Params | None = None
        self._arrived = anyio.Event()

    def give(self, message: Params) -> None:
        self._message = message
        self._arrived.set()

    def closed(self) -> None:
        self._arrived.set()

    async def got(self, method: str) -> Any:
        await self._arrived.wait()
        if self._message is None:
            raise ChannelClosedError(method)
        if "error" in self._message:
            raise RefusedError(self._message["error"])
        return self._message["result"]
