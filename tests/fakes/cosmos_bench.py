"""The parts of the Cosmos DB connector over a container in memory, with records of a table with keys `pk` and `sk`."""

from dataclasses import replace
from datetime import UTC, datetime

from connectors.azure.cosmos.calls import Calls
from connectors.azure.cosmos.mapping import MappingRules
from connectors.azure.cosmos.writing import as_write
from fakes.containers import FakeContainer
from fakes.targets import IMPATIENT, open_delivery
from replicator.clocks import elapsed_s
from replicator.delivery import Backoff
from replicator.documents import Document, key_text
from replicator.model import Change, Operation, Rule
from replicator.telemetry import Metrics, PipelineTelemetry

RULES = MappingRules(("pk", "sk"), ("sk",), ("/pk",))

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def key(sk: str, pk: str = "a") -> str:
    """The canonical key of a record."""
    return key_text({"pk": pk, "sk": sk})


def upsert(sk: str, number: int = 0, *, pk: str = "a", expires_at: datetime | None = None) -> Change[Document]:
    """The change that brings a record to its `number`th state."""
    record: Document = {"pk": pk, "sk": sk, "n": str(number)}
    return Change(key(sk, pk), Operation.UPSERT, record, "v", NOW, expires_at)


def delete(sk: str, pk: str = "a") -> Change[Document]:
    """The change that removes a record."""
    return Change(key(sk, pk), Operation.DELETE, {"pk": pk, "sk": sk}, "v", NOW)


class CosmosBench:
    """A container, and calls by a service whose clock shows NOW when this is made."""

    def __init__(self, *, timeout_s: float = 1.0, backoff: Backoff = IMPATIENT) -> None:
        self.container = FakeContainer(members=("pk",))
        self.calls = Calls(open_delivery(timeout_s, backoff=backoff), PipelineTelemetry(Metrics(), "orders"))
        self.calls.clock.observe(NOW, elapsed_s(), elapsed_s())

    def put(self, change: Change[Document], rule: Rule = Rule.FOLLOW) -> None:
        """As if it had been applied under that rule."""
        write = as_write(replace(change), rule, RULES, NOW)
        assert write is not None
        self.container.put(write.document.body)

    def numbers(self) -> dict[str, str]:
        """The records held, tombstones left out, by id."""
        return {body["id"]: body["n"] for body in self.container.held() if "n" in body}

    def requests(self) -> list[str]:
        """The operations the container was asked for."""
        return [operation for operation, _ in self.container.asked]
