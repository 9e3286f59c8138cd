"""Traffic for the demo and the tests: a table of orders, a seed full of traps, writers with a ground truth.

What writes to tables speaks DynamoDB's low-level JSON through an aiobotocore client and is the same for the same seed.
The keys, metadata and tags of objects are texts, for whatever writes objects.
"""

from sandbox.workload.awkward import awkward_items
from sandbox.workload.calls import Attribute, DynamoDb, Item, Key, WorkloadError
from sandbox.workload.object_keys import object_keys
from sandbox.workload.object_labels import METADATA, TAGS
from sandbox.workload.orders import order
from sandbox.workload.seeding import seed, seed_items
from sandbox.workload.tables import create_orders_table
from sandbox.workload.writer import Counts, Writer

__all__ = [
    "METADATA",
    "TAGS",
    "Attribute",
    "Counts",
    "DynamoDb",
    "Item",
    "Key",
    "WorkloadError",
    "Writer",
    "awkward_items",
    "create_orders_table",
    "object_keys",
    "order",
    "seed",
    "seed_items",
]
