"""What all connections share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.servicebus.auth import Authority
    from sandbox.servicebus.broker.namespace import Namespace
    from sandbox.servicebus.gate import Gate


@dataclass(frozen=True, slots=True)
class Service:
    """The broker behind the wire."""

    namespace: Namespace
    authority: Authority
    gate: Gate
