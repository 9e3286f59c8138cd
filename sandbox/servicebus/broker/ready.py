"""The messages that may be received, oldest first, by session."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.servicebus.broker.stored import Stored


class Ready:
    """Sequence numbers of active, unlocked messages. Without sessions all of them are under the key None.

    What is received is taken out. What has left the queue otherwise, as an expired message, is passed over when it
    is met.
    """

    def __init__(self, messages: Mapping[int, Stored]) -> None:
        self._messages = messages
        self._heaps: dict[str | None, list[int]] = {}

    def add(self, session: str | None, message: Stored) -> None:
        """It may be received, in its place by sequence number."""
        heapq.heappush(self._heaps.setdefault(session, []), message.sequence)

    def first(self, session: str | None) -> Stored | None:
        """The oldest that may be received; it stays."""
        heap = self._heaps.get(session)
        while heap:
            message = self._messages.get(heap[0])
            if message is not None:
                return message
            heapq.heappop(heap)
        self._heaps.pop(session, None)
        return None

    def pop(self, session: str | None) -> Stored | None:
        """Take the oldest."""
        message = self.first(session)
        if message is not None:
            heapq.heappop(self._heaps[session])
        return message

    def sessions(self) -> Iterator[str]:
        """Those with a message that may be received, the one with the oldest first."""
        heads = [(head.sequence, key) for key in list(self._heaps) if (head := self.first(key)) is not None]
        for _, key in sorted(heads, key=lambda head: head[0]):
            if key is not None:
                yield key
