"""Pairs of links for requests and their answers: tokens for `$cbs`, operations for `<queue>/$management`."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from sandbox.servicebus.amqp.composites import Target
from sandbox.servicebus.amqp.decoding import DecodeError
from sandbox.servicebus.amqp.sections import Properties, compose, parse_message
from sandbox.servicebus.amqp.types import Described, Int, Symbol
from sandbox.servicebus.broker.errors import ARGUMENT, DECODE_ERROR, RefusedError
from sandbox.servicebus.management import Answer, Asker, perform
from sandbox.servicebus.wire.links import Delivery, IncomingLink, OutgoingLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.servicebus.amqp.composites import Composite, Outcome
    from sandbox.servicebus.amqp.performatives import Attach
    from sandbox.servicebus.amqp.sections import Message
    from sandbox.servicebus.amqp.types import Value
    from sandbox.servicebus.broker.queue import Queue
    from sandbox.servicebus.wire.session import Session

CBS: Final = "$cbs"
MANAGEMENT: Final = "/$management"
SAS_TOKEN: Final = "servicebus.windows.net:sastoken"  # noqa: S105 -- the name of a kind of token
_VENDOR: Final = "com.microsoft:"


class ReplyLink(OutgoingLink):
    """Answers to requests, in the order in which they were made."""

    def __init__(self, session: Session, attach: Attach, node: str) -> None:
        super().__init__(session, attach, node)
        target = attach.target
        self.address = Target.of(target).address if isinstance(target, Described) else None
        self._answers: deque[bytes] = deque()

    def reply(self, payload: bytes) -> None:
        """Send an answer as soon as there is credit."""
        self._answers.append(payload)
        self.pump()

    def pump(self) -> None:
        """Send what credit allows."""
        while self._answers and self.credit > 0 and self.session.may_send:
            self.use_credit()
            delivery = self.transfer(b"", self._answers.popleft())
            self.session.settled(delivery)

    def settle(self, delivery: int, state: Outcome | None, reply: Callable[[Composite], None]) -> None:
        """Answers are not kept, so there is nothing to settle."""


class RequestLink(IncomingLink):
    """Requests to one node. `queue` is None for `$cbs`."""

    def __init__(self, session: Session, attach: Attach, node: str, queue: Queue | None) -> None:
        super().__init__(session, attach, queue.name if queue else node)
        self._node = node
        self._queue = queue

    def take(self, delivery: Delivery) -> None:
        """Perform a request and answer it."""
        try:
            request = parse_message(delivery.payload)
            asked = request.application_values()
        except DecodeError as error:
            self.answer(delivery, RefusedError(DECODE_ERROR, str(error)))
            return
        self.answer(delivery, None)
        operation = str(asked.get("operation", "")).removeprefix(_VENDOR)
        self.session.connection.service.gate.run(
            "cbs" if self._queue is None else f"manage.{operation}",
            self,
            lambda: self._perform(operation, asked, request),
            lambda result: self._reply(request, result),
        )

    def _perform(self, operation: str, asked: dict[Value, Value], request: Message) -> Answer:
        if self._queue is None:
            return self._put_token(operation, asked, request.value())
        link = asked.get("associated-link-name")
        asker = Asker(link if isinstance(link, str) else None)
        body = request.value()
        if not isinstance(body, dict):
            raise RefusedError(ARGUMENT, "The body of a request is a map.")
        return perform(self._queue, operation, body, asker)

    def _put_token(self, operation: str, asked: dict[Value, Value], token: Value) -> Answer:
        if operation != "put-token" or not isinstance(token, str):
            raise RefusedError(ARGUMENT, f"$cbs knows put-token only, not {operation}.")
        connection = self.session.connection
        connection.open_path(connection.service.authority.check(token, str(asked.get("name", ""))))
        return Answer(202, None, "Accepted")

    def _reply(self, request: Message, result: Answer | RefusedError) -> None:
        answer = Answer.of(result)
        dashed = self._queue is None
        application: dict[Value, Value] = {
            "status-code" if dashed else "statusCode": Int(answer.status),
            "status-description" if dashed else "statusDescription": answer.description,
        }
        if answer.condition is not None:
            application["error-condition" if dashed else "errorCondition"] = Symbol(answer.condition)
        link = self._reply_link(request.known.reply_to)
        if link is not None:
            known = Properties(correlation_id=request.known.message_id)
            link.reply(compose(answer.body, known, application))

    def _reply_link(self, address: Value) -> ReplyLink | None:
        """Where the request wants its answer, or else the client's link from the same node."""
        links = [link for link in self.session.links.values() if isinstance(link, ReplyLink)]
        addressed = [link for link in links if address is not None and link.address == address]
        same_node = [link for link in links if link.queue_name == self._node]
        return next(iter([*addressed, *same_node]), None)
