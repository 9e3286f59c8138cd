"""Receives everything a Service Bus queue holds, through the real client, and judges it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
from azure.servicebus import NEXT_AVAILABLE_SESSION
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import OperationTimeoutError

from sandbox.workload.arrivals import Arrival, Arrivals
from sandbox.workload.messages import body_digest

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusReceiver

    from sandbox.workload.arrivals import Outcome
    from sandbox.workload.messages import Sent

QUIET_S = 2.0
SESSION_QUIET_S = 0.5  # a session that was left too early is accepted again
SESSIONS_AT_ONCE = 4
PAGE = 50
GROUP = "replicator_group"
"""The property that holds a group which could not be the session's id as it is."""


async def receive_all(
    connection_string: str, queue: str, sent: Sent, *, sessions: bool, quiet_s: float = QUIET_S
) -> Outcome:
    """Receive and complete what is in the queue until nothing has come for `quiet_s` seconds, and compare it.

    With `sessions` several are received at once, each in order by one receiver. Raises ServiceBusError.
    """
    arrivals = Arrivals(sent)
    # A client of our own: one that repeats would also repeat the wait for a session when there is none any more.
    async with ServiceBusClient.from_connection_string(connection_string, retry_total=0) as client:
        if sessions:
            async with anyio.create_task_group() as tasks:
                for _ in range(SESSIONS_AT_ONCE):
                    tasks.start_soon(_receive_sessions, client, queue, arrivals, quiet_s)
        else:
            async with client.get_queue_receiver(queue) as receiver:
                await _drain(receiver, arrivals, quiet_s)
    return arrivals.outcome()


async def _receive_sessions(client: ServiceBusClient, queue: str, arrivals: Arrivals, quiet_s: float) -> None:
    """One session after the other, until none has a message."""
    while True:
        receiver = client.get_queue_receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=quiet_s)
        try:
            async with receiver:
                await _drain(receiver, arrivals, min(quiet_s, SESSION_QUIET_S))
        except OperationTimeoutError:
            return


async def _drain(receiver: ServiceBusReceiver, arrivals: Arrivals, quiet_s: float) -> None:
    while page := await receiver.receive_messages(PAGE, max_wait_time=quiet_s):
        for message in page:
            arrivals.take(arrival(message))
            await receiver.complete_message(message)


def arrival(message: ServiceBusReceivedMessage) -> Arrival:
    """What the client makes of a message, which gives names and texts as bytes."""
    body = b"".join(message.body)
    properties = {_text(name): _text(value) for name, value in (message.application_properties or {}).items()}
    group = properties.get(GROUP, message.session_id)
    return Arrival(str(message.message_id), body_digest(body), properties, group)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
