"""What a client wants to attach to, and whether it may."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sandbox.servicebus.amqp.composites import Source, Target
from sandbox.servicebus.amqp.decoding import DecodeError
from sandbox.servicebus.amqp.performatives import RECEIVER
from sandbox.servicebus.amqp.types import Described, Long, Symbol
from sandbox.servicebus.auth import path_of
from sandbox.servicebus.broker.errors import NOT_ALLOWED, NOT_IMPLEMENTED, TIMEOUT, UNAUTHORIZED, RefusedError
from sandbox.servicebus.wire.links import Link, accept, refuse
from sandbox.servicebus.wire.receiving import ReceiveLink
from sandbox.servicebus.wire.requests import CBS, MANAGEMENT, ReplyLink, RequestLink
from sandbox.servicebus.wire.sending import SendLink

if TYPE_CHECKING:
    from sandbox.servicebus.amqp.performatives import Attach
    from sandbox.servicebus.broker.queue import Queue
    from sandbox.servicebus.wire.session import Session

SESSION_FILTER: Final = Symbol("com.microsoft:session-filter")
SESSION_LOCKED_UNTIL: Final = Symbol("com.microsoft:locked-until-utc")
SESSION_TIMEOUT: Final = Symbol("com.microsoft:timeout")
MAX_BATCH_BYTES: Final = Symbol("com.microsoft:max-message-batch-size")
DEFAULT_SESSION_WAIT_S: Final = 60.0
_TICKS_AT_EPOCH: Final = 621_355_968_000_000_000
_TICKS_PER_S: Final = 10_000_000


class AttachingLink(Link):
    """A link that is asked for, until it is there."""

    def __init__(self, session: Session, asked: Attach, queue_name: str) -> None:
        super().__init__(session, asked, queue_name)
        self.asked = asked
        self._became: Link | None = None

    def detach(self, error: RefusedError) -> None:
        """Refuse it; or end what it has become."""
        if self._became is not None:
            self._became.detach(error)
        elif not self.is_closed:
            self.closed()
            self.session.links.pop(self.handle, None)
            refuse(self.session, self.asked, error)

    def become(self, link: Link) -> None:
        """The link is there."""
        self.closed()
        self._became = link
        self.session.links[self.handle] = link


class WaitingLink(AttachingLink):
    """Waits for the next session that has messages and nobody holds."""

    def __init__(self, session: Session, asked: Attach, queue: Queue, wait_s: float) -> None:
        super().__init__(session, asked, queue.name)
        self._queue = queue
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._give_up)
        queue.watch(self, self.look)

    def look(self) -> None:
        """Take a session if there is one."""
        session_id = self._queue.next_session()
        if session_id is not None and not self.is_closed:
            _enter_session(self, self._queue, session_id)

    def closed(self) -> None:
        """Wait no more."""
        super().closed()
        self._timer.cancel()
        self._queue.unwatch(self)

    def _give_up(self) -> None:
        self.detach(RefusedError(TIMEOUT, "There was no session with messages that could be locked in time."))


def attach(session: Session, asked: Attach) -> None:
    """Attach a link to a session, or refuse it; both may take time. Raises DecodeError."""
    end = asked.source if asked.role is RECEIVER else asked.target
    if not isinstance(end, Described):
        raise DecodeError("an attach has a source and a target")
    node = Source.of(end) if asked.role is RECEIVER else Target.of(end) if Target.is_meant(end) else None
    path = path_of(str(node.address)) if node and node.address else ""
    link = AttachingLink(session, asked, path)
    session.links[asked.handle] = link
    session.connection.service.gate.run(
        _operation(asked, path), link, lambda: _attach(link, path), lambda result: _answer(link, result)
    )


def _operation(asked: Attach, path: str) -> str:
    if path.casefold().endswith(MANAGEMENT):
        return "attach.manage"
    if path == CBS:
        return "attach.cbs"
    return "attach.receive" if asked.role is RECEIVER else "attach.send"


def _answer(link: AttachingLink, result: RefusedError | None) -> None:
    if result is not None:
        link.detach(result)


def _attach(link: AttachingLink, path: str) -> None:
    """Make the link what it is to be. Raises RefusedError."""
    session, asked = link.session, link.asked
    if link.is_closed:
        return
    if not path:
        raise RefusedError(NOT_IMPLEMENTED, "The sandbox has no transactions, and no links without an address.")
    if path == CBS:
        _enter_node(link, CBS, None)
        return
    if not session.connection.may_use(path):
        raise RefusedError(UNAUTHORIZED, f"Unauthorized access. There is no valid token for '{path}'.")
    is_management = path.casefold().endswith(MANAGEMENT)
    queue = session.connection.service.namespace.find(path[: -len(MANAGEMENT)] if is_management else path)
    if is_management:
        _enter_node(link, path, queue)
    elif asked.role is RECEIVER:
        _enter_queue(link, queue)
    else:
        _send_to(link, queue)


def _enter_node(link: AttachingLink, path: str, queue: Queue | None) -> None:
    """Requests go one way, answers the other."""
    accept(link.session, link.asked)
    if link.asked.role is RECEIVER:
        link.become(ReplyLink(link.session, link.asked, path))
    else:
        requests = RequestLink(link.session, link.asked, path, queue)
        link.become(requests)
        requests.grant()


def _send_to(link: AttachingLink, queue: Queue) -> None:
    limit = min(link.asked.max_message_size or queue.settings.max_message_bytes, queue.settings.max_message_bytes)
    if queue.dead_letters is None:
        raise RefusedError(NOT_ALLOWED, "Messages cannot be sent to a dead-letter queue.")
    sender = SendLink(link.session, link.asked, queue, limit)
    batch_limit = Long(queue.settings.max_batch_bytes)
    accept(link.session, link.asked, max_message_bytes=limit, properties={MAX_BATCH_BYTES: batch_limit})
    link.become(sender)
    sender.grant()


def _enter_queue(link: AttachingLink, queue: Queue) -> None:
    source = Source.of(link.asked.source)
    wanted = source.filter or {}
    if SESSION_FILTER not in wanted:
        if queue.sessions is not None:
            raise RefusedError(
                NOT_ALLOWED,
                "It is not possible for an entity that requires sessions to create a non-sessionful message receiver.",
            )
        accept(link.session, link.asked)
        link.become(ReceiveLink(link.session, link.asked, queue))
        return
    if queue.sessions is None:
        raise RefusedError(
            NOT_ALLOWED,
            "A sessionful message receiver cannot be created on an entity that does not require sessions. Ensure"
            " RequiresSession is set to true when creating a Queue or Subscription to enable sessionful behavior.",
        )
    session_id = _filtered(wanted[SESSION_FILTER])
    if session_id is not None:
        _enter_session(link, queue, session_id)
        return
    wait_ms = (link.asked.properties or {}).get(SESSION_TIMEOUT)
    waiting = WaitingLink(
        link.session, link.asked, queue, wait_ms / 1000 if isinstance(wait_ms, int) else DEFAULT_SESSION_WAIT_S
    )
    link.become(waiting)
    waiting.look()


def _filtered(value: object) -> str | None:
    """The session a filter names, bare or described; None for whichever comes next."""
    bare = value.value if isinstance(value, Described) else value
    return bare if isinstance(bare, str) else None


def _enter_session(link: AttachingLink, queue: Queue, session_id: str) -> None:
    """Lock the session for this link. Raises RefusedError if somebody else has it."""
    assert queue.sessions is not None  # noqa: S101 -- checked by the caller
    receiver = ReceiveLink(link.session, link.asked, queue)
    receiver.queue_session = queue.sessions.accept(session_id, receiver)
    source = Source.of(link.asked.source)
    source.filter = {SESSION_FILTER: session_id}
    ticks = round(receiver.queue_session.locked_until * _TICKS_PER_S) + _TICKS_AT_EPOCH
    accept(link.session, link.asked, source=source, properties={SESSION_LOCKED_UNTIL: Long(ticks)})
    link.become(receiver)
