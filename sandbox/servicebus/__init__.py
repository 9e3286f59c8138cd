"""A local imitation of Azure Service Bus queues: a development tool, never for data that matters.

It serves the unmodified azure-servicebus SDK over AMQP 1.0 on loopback, keeps everything in memory, enforces the
service's limits and rules, and can be told to throttle, fail, stall or cut connections. What it does not know it
refuses instead of pretending.
"""

from sandbox.clock import Clock
from sandbox.servicebus.auth import EMULATOR_KEY, KEY_NAME
from sandbox.servicebus.broker.settings import QueueSettings
from sandbox.servicebus.faults import Fault, Faults
from sandbox.servicebus.server import ServiceBusServer

__all__ = ["EMULATOR_KEY", "KEY_NAME", "Clock", "Fault", "Faults", "QueueSettings", "ServiceBusServer"]
