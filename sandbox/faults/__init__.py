"""A proxy that breaks what passes: delays, cuts, stalls, duplicates, late deliveries, invented answers.

    async with FaultProxy("127.0.0.1", aws.port) as proxy:
        proxy.inject(CutAfter(), headers={"X-Amz-Target": "PutItem"}, count=1)
        ... a client of proxy.endpoint ...

Plain HTTP/1.1, or opaque TCP with `protocol="tcp"`. A process of its own is `python -m sandbox.faults`.
"""

from sandbox.faults.counters import Counters, Rate
from sandbox.faults.late import LateDelivery
from sandbox.faults.proxy import FaultProxy
from sandbox.faults.rules import (
    Action,
    Answer,
    CutAfter,
    CutBefore,
    Delay,
    Duplicate,
    EditBody,
    HoldDelivery,
    Pass,
    Rule,
    RuleSpec,
    Stall,
)

__all__ = [
    "Action",
    "Answer",
    "Counters",
    "CutAfter",
    "CutBefore",
    "Delay",
    "Duplicate",
    "EditBody",
    "FaultProxy",
    "HoldDelivery",
    "LateDelivery",
    "Pass",
    "Rate",
    "Rule",
    "RuleSpec",
    "Stall",
]
