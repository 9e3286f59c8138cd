"""Links on which clients send to a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.servicebus.amqp.decoding import DecodeError
from sandbox.servicebus.amqp.sections import BATCH_FORMAT, parse_batch, parse_message
from sandbox.servicebus.broker.errors import DECODE_ERROR, TOO_LARGE, RefusedError
from sandbox.servicebus.wire.links import Delivery, IncomingLink

if TYPE_CHECKING:
    from sandbox.servicebus.amqp.performatives import Attach
    from sandbox.servicebus.amqp.sections import Message
    from sandbox.servicebus.broker.queue import Queue
    from sandbox.servicebus.wire.session import Session


class SendLink(IncomingLink):
    """Messages and batches into one queue. `max_message_bytes` is what was agreed with the client."""

    def __init__(self, session: Session, attach: Attach, queue: Queue, max_message_bytes: int) -> None:
        super().__init__(session, attach, queue.name)
        self._queue = queue
        self._max_message_bytes = max_message_bytes
        self._gate = session.connection.service.gate

    def take(self, delivery: Delivery) -> None:
        """Send it to the queue; a batch as a whole or not at all."""
        operation = "send.batch" if delivery.format == BATCH_FORMAT else "send"
        self._gate.run(
            operation, self, lambda: self._queue.send(self._read(delivery)), lambda result: self._done(delivery, result)
        )

    def _read(self, delivery: Delivery) -> list[Message]:
        is_batch = delivery.format == BATCH_FORMAT
        limit = min(
            self._max_message_bytes, self._queue.settings.max_batch_bytes if is_batch else self._max_message_bytes
        )
        size = len(delivery.payload)
        if size > limit:
            raise RefusedError(
                TOO_LARGE,
                f"The received message (delivery-id:{delivery.id}, size:{size} bytes) exceeds the limit ({limit} bytes)"
                " currently allowed on the link.",
            )
        try:
            payloads = parse_batch(delivery.payload) if is_batch else [delivery.payload]
            return [parse_message(payload) for payload in payloads]
        except DecodeError as error:
            raise RefusedError(DECODE_ERROR, str(error)) from error

    def _done(self, delivery: Delivery, result: list[int] | RefusedError) -> None:
        self.answer(delivery, result)
        if isinstance(result, RefusedError) and result.condition == TOO_LARGE:
            self.detach(result)  # the service ends the link, too
