"""The messages of a queue by their numbers, and those among them that may be received."""

from __future__ import annotations

from collections import Counter
from heapq import nsmallest
from typing import TYPE_CHECKING

from sandbox.servicebus.broker.errors import MESSAGE_NOT_FOUND, RefusedError
from sandbox.servicebus.broker.ready import Ready
from sandbox.servicebus.broker.stored import State

if TYPE_CHECKING:
    from sandbox.servicebus.broker.stored import Stored


class Shelf:
    """Where messages lie. `bytes` is what they take."""

    def __init__(self) -> None:
        self._messages: dict[int, Stored] = {}
        self.ready = Ready(self._messages)
        self.bytes = 0

    def put(self, message: Stored) -> None:
        """Keep a message."""
        self._messages[message.sequence] = message
        self.bytes += message.content.size_bytes

    def remove(self, message: Stored) -> None:
        """Drop a message that is here."""
        del self._messages[message.sequence]
        self.bytes -= message.content.size_bytes

    def holds(self, message: Stored) -> bool:
        """Whether it is still here."""
        return self._messages.get(message.sequence) is message

    def find(self, number: int, state: State) -> Stored:
        """The message of that number, in that state. Raises RefusedError."""
        message = self._messages.get(number)
        if message is None or message.state is not state:
            raise RefusedError(MESSAGE_NOT_FOUND, f"There is no {state.name.lower()} message {number}.")
        return message

    def browse(self, first: int, most: int, session_id: str | None) -> list[Stored]:
        """Messages from a number on, in order, whatever their state; of one session if one is named."""
        wanted = (
            number
            for number, message in self._messages.items()
            if number >= first and session_id in {None, message.session_id}
        )
        return [self._messages[number] for number in nsmallest(most, wanted)]

    def sessions(self) -> set[str]:
        """The sessions that active messages belong to."""
        return {
            message.session_id
            for message in self._messages.values()
            if message.session_id is not None and message.state is State.ACTIVE
        }

    def count(self) -> dict[str, int]:
        """How many there are in each state."""
        states = Counter(message.state.name.lower() for message in self._messages.values())
        return {"active": states["active"], "deferred": states["deferred"], "scheduled": states["scheduled"]}
