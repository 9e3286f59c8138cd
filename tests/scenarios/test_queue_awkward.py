"""Promise: what is legal in SQS arrives as it was sent, with its attributes and their types, or is refused by name."""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusReceivedMessage

from sandbox.aws import AwsServer
from sandbox.workload import awkward_messages, portable_messages
from sandbox.workload.arrivals import RENAMED
from sandbox.workload.message_shapes import NewMessage
from scenarios.migration import Daemon, running
from scenarios.queue_world import QueueWorld, properties, queue_world, until

# Messages of 1 MiB take more of JSON on their way into SQS, which aiohttp remarks on.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


INTEGER = re.compile(r"0|-?[1-9][0-9]*")


async def test_every_awkward_message_arrives_exactly_or_is_refused_by_name(aws: AwsServer, tmp_path: Path) -> None:
    """Through a standard queue, and through a FIFO queue and sessions; those above 256 KiB are the refused ones."""
    corpus, portable = dict(awkward_messages()), dict(portable_messages())
    assert len(portable) >= 60
    async with queue_world(aws, tmp_path, "jobs.fifo", "mail") as w:
        senders = {name: w.sender(name) for name in w.queues}
        for name, sender in senders.items():
            for number, message in enumerate(corpus.values()):
                await sender.send([_grouped(message, number) if w.has_sessions(name) else message])
        labels = {name: dict(zip(sender.sent.messages, corpus, strict=True)) for name, sender in senders.items()}
        async with running(w.daemon()) as daemon:
            await until(lambda: _all_is_known(w, daemon, 2 * len(corpus)), "messages are left")
            refused = await _refused(daemon)
        for name, sender in senders.items():
            keys = {key for pipeline, key in refused if pipeline == name}
            assert not {labels[name][key] for key in keys} & portable.keys(), refused
            for found in [] if w.has_sessions(name) else await w.peeked(name):
                _assert_types(found, corpus[labels[name][str(found.message_id)]])
            for key in keys:
                del sender.sent.messages[key]
            outcome = await w.arrived(name, sender.sent)
            assert outcome.is_right, outcome
            assert outcome.received + len(keys) == len(corpus)
        assert all("bytes" in reason for reason in refused.values()), refused


def _grouped(message: NewMessage, number: int) -> NewMessage:
    """In a group of its own where it may be refused, so that it keeps no other one waiting."""
    group = message.group or (f"g{number % 3}" if message.is_portable else f"alone{number}")
    return NewMessage(message.body, message.attributes, group, message.trace)


async def _all_is_known(w: QueueWorld, daemon: Daemon, messages: int) -> bool:
    """Each has arrived or is refused."""
    return len(await _refused(daemon)) + w.broker.stats()["accepted"] == messages


async def _refused(daemon: Daemon) -> dict[tuple[str, str], str]:
    """Reasons by pipeline and message id."""
    _, answer = await daemon.get("/v1/dead-letters")
    return {(letter["pipeline"], letter["key"]): letter["reason"] for letter in answer["dead_letters"]}


def _assert_types(found: ServiceBusReceivedMessage, message: NewMessage) -> None:
    """As docs/connectors has it: the kind of each property, and beside them what it does not tell."""
    held = properties(found)
    notes: Mapping[str, Any] = json.loads(held.get("replicator_types", "{}"))
    for name, attribute in message.attributes.items():
        value = held[RENAMED + name if name.startswith("replicator_") else name]
        note = notes.get(name)
        kind = attribute.type.partition(".")[0]
        told = note[0] if isinstance(note, list) else note or ("String" if isinstance(value, str) else "Number")
        assert told == attribute.type
        assert _written(value, note, kind) == attribute.value
        assert isinstance(value, str) or kind == "Number"
        if kind == "Number" and INTEGER.fullmatch(str(attribute.value)) and abs(int(attribute.value)) < 2**63:
            assert isinstance(value, int)


def _written(value: Any, note: Any, kind: str) -> str | bytes:
    """An attribute's value as the sender wrote it."""
    if kind == "Binary":
        return base64.b64decode(value, validate=True)
    return str(note[1] if isinstance(note, list) else value)
