"""The sessions of a queue: who holds which, until when, and the state an application keeps in each."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from sandbox.servicebus.broker.errors import SESSION_LOCK_LOST, SESSION_TAKEN, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from sandbox.clock import Clock
    from sandbox.servicebus.broker.timers import Timers


class Holder(Protocol):
    """Whoever receives from a session: a link."""

    name: str

    def session_lost(self) -> None:
        """Its lock has run out."""


@dataclass(slots=True, eq=False)
class Session:
    """One session. `tokens` are the locks of its messages that its holder has not settled."""

    id: str
    holder: Holder | None = None
    locked_until: float = 0.0
    state: bytes | None = None
    state_set_at: float = 0.0
    tokens: set[UUID] = field(default_factory=set)


class Sessions:
    """Those that are held or have a state; any other exists by its messages only.

    `unlock(tokens, failed)` is called when a session is given up: its unsettled messages may be received again,
    and count as a failed delivery if the lock ran out.
    """

    def __init__(self, lock_s: float, clock: Clock, timers: Timers, unlock: Callable[[set[UUID], bool], None]) -> None:
        self._lock_s = lock_s
        self._clock = clock
        self._timers = timers
        self._unlock = unlock
        self._known: dict[str, Session] = {}

    def is_held(self, session_id: str) -> bool:
        """Whether somebody has locked it."""
        found = self._known.get(session_id)
        return found is not None and found.holder is not None

    def accept(self, session_id: str, holder: Holder) -> Session:
        """Lock a session, which need not have any message. Raises RefusedError if somebody else has."""
        session = self._known.setdefault(session_id, Session(session_id))
        if session.holder is not None:
            taken = f"The requested session '{session_id}' cannot be accepted. It may be locked by another receiver."
            raise RefusedError(SESSION_TAKEN, taken)
        session.holder = holder
        self._prolong(session)
        return session

    def release(self, session: Session, holder: Holder) -> None:
        """Give a session up, as a closed link does; harmless if it was lost before."""
        if session.holder is holder:
            self._give_up(session, failed=False)

    def renew(self, session_id: str, link: str | None) -> float:
        """Prolong a lock; the new end. Raises RefusedError when it is lost."""
        session = self.held(session_id, link)
        self._prolong(session)
        return session.locked_until

    def held(self, session_id: str, link: str | None) -> Session:
        """A session that is locked, by the link of that name if one is given. Raises RefusedError if it is not."""
        session = self._known.get(session_id)
        if session is None or session.holder is None or (link is not None and session.holder.name != link):
            raise RefusedError(SESSION_LOCK_LOST, f"The session lock of '{session_id}' has expired. Accept it again.")
        return session

    def forget(self, session_id: str | None, token: UUID) -> None:
        """A message of this session was settled."""
        session = self._known.get(session_id or "")
        if session is not None:
            session.tokens.discard(token)

    def set_state(self, session_id: str, state: bytes | None, link: str | None) -> None:
        """Keep an application's state, None for none. Raises RefusedError unless the session is locked."""
        session = self.held(session_id, link)
        session.state, session.state_set_at = state, self._clock.now()

    def with_state_since(self, instant: float | None) -> list[str]:
        """Ids of sessions that have a state, or whose state was set after an instant."""
        return [
            session.id
            for session in self._known.values()
            if (session.state is not None if instant is None else session.state_set_at > instant)
        ]

    def _prolong(self, session: Session) -> None:
        session.locked_until = self._clock.now() + self._lock_s
        self._timers.at(session.locked_until, partial(self._lock_ran_out, session, session.locked_until))

    def _lock_ran_out(self, session: Session, until: float) -> None:
        holder = session.holder
        if holder is not None and session.locked_until == until:
            self._give_up(session, failed=True)
            holder.session_lost()

    def _give_up(self, session: Session, *, failed: bool) -> None:
        session.holder = None
        tokens, session.tokens = session.tokens, set()
        if session.state is None and not session.state_set_at:
            self._known.pop(session.id, None)
        self._unlock(tokens, failed)
