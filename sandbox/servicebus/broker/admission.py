"""Which messages a queue takes in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandbox.servicebus.amqp.decoding import DecodeError
from sandbox.servicebus.broker.errors import (
    ARGUMENT,
    BUSY,
    DECODE_ERROR,
    FULL,
    NOT_ALLOWED,
    TOO_LARGE,
    RefusedError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.clock import Clock
    from sandbox.servicebus.amqp.sections import Message
    from sandbox.servicebus.broker.settings import QueueSettings

MAX_ID_CHARS: Final = 128
MAX_PROPERTIES_BYTES: Final = 64 * 1024


class Admission:
    """The limits of a queue that concern what is sent to it. Sizes of whole transfers are the link's concern."""

    def __init__(self, settings: QueueSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._allowance = max(settings.sends_per_s or 0.0, 1.0)
        self._filled_at = clock.now()

    def check(self, contents: Sequence[Message], used_bytes: int) -> None:
        """Raise RefusedError unless all of them may be sent."""
        for content in contents:
            self._check_one(content)
        if used_bytes + sum(content.size_bytes for content in contents) > self._settings.max_bytes:
            raise RefusedError(
                FULL,
                "The maximum entity size has been reached or exceeded for the queue."
                f" Size of entity in bytes: {used_bytes}, Max entity size in bytes: {self._settings.max_bytes}.",
            )
        self._throttle(len(contents))

    def _check_one(self, content: Message) -> None:
        known = content.known
        if self._settings.sessions and known.group_id is None:
            raise RefusedError(
                NOT_ALLOWED,
                "The SessionId was not set on a message, and it cannot be sent to the entity. Entities that have"
                " session support enabled can only receive messages that have the SessionId set to a valid value.",
            )
        for name, text in (("MessageId", known.message_id), ("SessionId", known.group_id)):
            if text is not None and len(str(text)) > MAX_ID_CHARS:
                raise RefusedError(ARGUMENT, f"The {name} has more than {MAX_ID_CHARS} characters.")
        if len(content.properties) + len(content.application_properties) > MAX_PROPERTIES_BYTES:
            raise RefusedError(TOO_LARGE, f"The properties of a message take more than {MAX_PROPERTIES_BYTES} bytes.")
        try:
            content.application_values()
        except DecodeError as error:
            raise RefusedError(DECODE_ERROR, str(error)) from error

    def _throttle(self, messages: int) -> None:
        """A second's worth may be sent at once; what is beyond is refused until time has passed.

        A batch of more than that is taken when nothing was sent for a second, and paid for afterwards.
        """
        rate = self._settings.sends_per_s
        if rate is None:
            return
        now = self._clock.now()
        most = max(rate, 1.0)
        self._allowance = min(most, self._allowance + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._allowance < min(messages, most):
            raise RefusedError(
                BUSY,
                "The request was terminated because the entity is being throttled. Error code : 50009. Please wait 2"
                " seconds and try again.",
            )
        self._allowance -= messages
