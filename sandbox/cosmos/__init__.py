"""A local imitation of Azure Cosmos DB for NoSQL: a development tool, never for data that matters.

It serves the unmodified azure-cosmos SDK over plain HTTP on loopback, keeps everything in memory,
enforces the service's limits and rules, and can be told to throttle, fail, stall or cut connections.
What it does not know it refuses with 400 instead of pretending.
"""

from sandbox.clock import Clock
from sandbox.cosmos.account import Settings
from sandbox.cosmos.auth import EMULATOR_KEY
from sandbox.cosmos.faults import Fault, Faults
from sandbox.cosmos.server import CosmosServer

__all__ = ["EMULATOR_KEY", "Clock", "CosmosServer", "Fault", "Faults", "Settings"]
