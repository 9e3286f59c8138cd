"""How the contract suites are given the sources and targets they are run against.

A factory makes a world (`contracts.worlds.sides`): something empty, and a source or target over it. Each is in a module
of its own, named here with what it can; every clause says what it needs beside that, and is run against all that can do
it. To run the suites against another connector, write its factory and name it here.
"""

from contracts.worlds import emulated
from contracts.worlds.blob import blob
from contracts.worlds.bucket import bucket
from contracts.worlds.cosmos import cosmos
from contracts.worlds.dynamodb import dynamodb
from contracts.worlds.memory import memory
from contracts.worlds.queue import queue
from contracts.worlds.s3 import s3
from contracts.worlds.scripted import scripted
from contracts.worlds.servicebus import plain_queue, sessions_queue
from contracts.worlds.sides import Kind, SourceCan, TargetCan, source, target
from contracts.worlds.sink import sink
from contracts.worlds.sqs import fifo_queue, standard_queue

from containers.clouds import Cloud

_TABLE = (SourceCan.LOG, SourceCan.PROVES, SourceCan.COPIES, SourceCan.ROWS, SourceCan.LOOKUP)
_BUCKET = (SourceCan.PROVES, SourceCan.COPIES, SourceCan.LISTS, SourceCan.LOOKUP, SourceCan.DELIVERS)
_QUEUE = (SourceCan.DELIVERS, SourceCan.PARKS, SourceCan.DRAINS, SourceCan.COUNTS)

SOURCES: dict[str, Kind] = {
    "bucket": source(bucket, *_BUCKET),
    "dynamodb": source(dynamodb, *_TABLE, cloud=Cloud.AWS),
    "queue": source(queue, *_QUEUE, SourceCan.GROUPS),
    "s3": source(s3, *_BUCKET, cloud=Cloud.AWS),
    "sqs": source(standard_queue, *_QUEUE, SourceCan.PROVES, cloud=Cloud.AWS),
    "sqs-fifo": source(fifo_queue, *_QUEUE, SourceCan.PROVES, SourceCan.GROUPS, cloud=Cloud.AWS),
    "scripted": source(scripted, *_TABLE, SourceCan.CLOSES, SourceCan.TRIMS),
}

_DOCUMENTS = (
    TargetCan.WRITES,
    TargetCan.HOLDS,
    TargetCan.OVERLAPS,
    TargetCan.LOSES,
    TargetCan.FOREIGN,
    TargetCan.LEFTOVERS,
)
_OBJECTS = (TargetCan.WRITES, TargetCan.HOLDS, TargetCan.VERSIONS, TargetCan.FOREIGN, TargetCan.LOSES)
_MESSAGES = (TargetCan.WRITES, TargetCan.PASSES, TargetCan.LOSES)

TARGETS: dict[str, Kind] = {
    "blob": target(blob, *_OBJECTS, cloud=Cloud.AZURITE),
    "cosmos": target(cosmos, *_DOCUMENTS),
    "memory": target(memory, *_DOCUMENTS, TargetCan.VERSIONS),
    "servicebus": target(plain_queue, *_MESSAGES),
    "servicebus-sessions": target(sessions_queue, *_MESSAGES, TargetCan.GROUPS),
    "sink": target(sink, *_MESSAGES, TargetCan.GROUPS),
}

_EMULATED_QUEUE = (TargetCan.WRITES, TargetCan.PASSES)

EMULATED_TARGETS: dict[str, Kind] = {
    "cosmos-emulator": target(emulated.cosmos, *_DOCUMENTS, cloud=Cloud.COSMOS),
    "servicebus-emulator": target(emulated.plain_queue, *_EMULATED_QUEUE, cloud=Cloud.SERVICEBUS),
    "servicebus-emulator-sessions": target(
        emulated.sessions_queue, *_EMULATED_QUEUE, TargetCan.GROUPS, cloud=Cloud.SERVICEBUS
    ),
}
"""Only there where containers were asked for."""
