"""Traffic for the demo and the tests: a table of orders, a bucket of objects, queues of messages, all full of traps.

What writes has a ground truth, works through an aiobotocore client and is the same for the same seed. The keys,
metadata and tags of objects, and awkward items and messages, can be had by themselves.
"""

from sandbox.workload.arrivals import Outcome
from sandbox.workload.awkward import awkward_items
from sandbox.workload.awkward_messages import awkward_messages, portable_messages
from sandbox.workload.blobs import read_container
from sandbox.workload.buckets import TaggingEvents, create_bucket
from sandbox.workload.calls import S3, Attribute, DynamoDb, Item, Key, Sqs, WorkloadError
from sandbox.workload.message_shapes import MessageAttribute, NewMessage
from sandbox.workload.messages import Queue, Sender, Sent, create_queue
from sandbox.workload.object_calls import read_bucket
from sandbox.workload.object_keys import object_keys
from sandbox.workload.object_labels import METADATA, TAGS
from sandbox.workload.object_shapes import HeldObject, NewObject
from sandbox.workload.object_writer import ObjectCounts, ObjectWriter
from sandbox.workload.objects import seed_bucket, seed_objects
from sandbox.workload.orders import order
from sandbox.workload.receiving import receive_all
from sandbox.workload.seeding import seed, seed_items
from sandbox.workload.tables import create_orders_table
from sandbox.workload.writer import Counts, Writer

__all__ = [
    "METADATA",
    "S3",
    "TAGS",
    "Attribute",
    "Counts",
    "DynamoDb",
    "HeldObject",
    "Item",
    "Key",
    "MessageAttribute",
    "NewMessage",
    "NewObject",
    "ObjectCounts",
    "ObjectWriter",
    "Outcome",
    "Queue",
    "Sender",
    "Sent",
    "Sqs",
    "TaggingEvents",
    "WorkloadError",
    "Writer",
    "awkward_items",
    "awkward_messages",
    "create_bucket",
    "create_orders_table",
    "create_queue",
    "object_keys",
    "order",
    "portable_messages",
    "read_bucket",
    "read_container",
    "receive_all",
    "seed",
    "seed_bucket",
    "seed_items",
    "seed_objects",
]
