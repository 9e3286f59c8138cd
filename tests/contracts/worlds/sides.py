"""What a world is: one source or target over something empty, and what it can beside what all of them promise."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias

from containers.clouds import Cloud
from replicator.model import Change, Mode, R
from replicator.ports import Source, Target
from sandbox.aws import AwsServer
from sandbox.azurite import Azurite

if TYPE_CHECKING:  # the ordinary suite does without
    from containers.cosmos import CosmosContainer
    from containers.servicebus import ServiceBusContainer


class SourceCan(Enum):
    """What some sources promise and others do not. Each is the need of some clauses."""

    LOG = "positions, order, intents: what was followed once can be read again"
    PROVES = "it claims time while nothing happens"
    COPIES = "it has bounded partitions in mode async as well"
    ROWS = "what is copied are whole records"
    LISTS = "what is copied is a listing that shows versions"
    LOOKUP = "a record can be looked up, and what was rejected is"
    DELIVERS = "what is followed comes with receipts, and comes again until it is settled"
    PARKS = "what was rejected stays, and is delivered again when asked for"
    GROUPS = "some of what is delivered keeps an order, by group"
    DRAINS = "in mode copy it delivers until nothing is left"
    COUNTS = "it knows how many wait"
    CLOSES = "its log can be ended so that other partitions continue it"
    TRIMS = "its log can forget"


class TargetCan(Enum):
    """What some targets promise and others do not. Each is the need of some clauses."""

    WRITES = "it takes changes without looking at what is there"
    HOLDS = "it keeps records by key: observes, replaces, scans, has an owner"
    VERSIONS = "it knows from which version of the source a record was made"
    OVERLAPS = "it can be written beside a copy: tombstones, expiry held off"
    PASSES = "it passes messages on and keeps none"
    GROUPS = "messages keep their order by group"
    LOSES = "the answer to a write can be lost"
    FOREIGN = "somebody else can write there"
    LEFTOVERS = "another config can have written there"


async def cannot(*_: object) -> Any:
    """Stands for what a world cannot do."""
    raise AssertionError("a clause asks for what this world does not say it can do")


def cannot_now(*_: object) -> Any:
    """Likewise, where nothing is awaited."""
    raise AssertionError("a clause asks for what this world does not say it can do")


@dataclass
class SourceWorld(Generic[R]):
    """Something empty at a source, and the sources that are opened over it, one after the other, not connected yet.

    `put` brings a record to a state, or sends a message with that number; `delete` removes the record. `key` is that of
    the record, or of the message sent last under that name. `state` is the number in a whole record, None for one that
    is gone; it looks at everything in it. `put_in_group` sends a message that keeps its order behind the others of its
    group; `group_of` tells it. `close_log` ends the log's present partitions so that others continue them; `trim` makes
    it forget what it holds now.

    A change can be read within `patience_s`, and time is proven within that. What a source holds that is open must not
    be delivered to anybody for `hold_s`: longer than what was not settled stays hidden after it is closed, which is
    `again_s`, unless the source is a fake that does not extend it. What must not come is waited for `quiet_s`.
    """

    open: Callable[[Mode], AbstractAsyncContextManager[Source[R]]]
    put: Callable[[str, int], Awaitable[None]]
    key: Callable[[str], str]
    state: Callable[[Change[R]], Awaitable[int | None]]
    delete: Callable[[str], Awaitable[None]] = cannot
    put_in_group: Callable[[str, str, int], Awaitable[None]] = cannot
    group_of: Callable[[Change[R]], str | None] = cannot_now
    close_log: Callable[[], Awaitable[None]] = cannot
    trim: Callable[[], Awaitable[None]] = cannot
    key_names: tuple[str, ...] = ()
    patience_s: float = 5.0
    hold_s: float = 0.5
    again_s: float = 0.5
    quiet_s: float = 0.5
    can: frozenset[Enum] = frozenset()

    @asynccontextmanager
    async def connected(self, mode: Mode = Mode.ASYNC) -> AsyncIterator[Source[R]]:
        """One source, as a process has it, closed on leaving."""
        async with self.open(mode) as source:
            await source.connect()
            yield source


@dataclass
class TargetWorld(Generic[R]):
    """A target, neither connected nor created, where nothing is held.

    `upsert` is the change that brings a record to a state, or a message; `delete` that which removes the record.
    `held` is what a reader or consumer finds, by key: the number of each, once all of it was looked at. `refused` is a
    change it can never take. `in_group` is a message that keeps its order behind the others of its group, one that
    cannot be taken where there is no number; `consumed` are the keys in the order in which a consumer finds them.

    `put_foreign` writes an entry that is not ours, over the record of that name where there is one; `put_leftover` a
    record of ours where it does not belong. `lose_next` makes the answer to the next write disappear: it takes effect
    after that many seconds, or never (None).
    No request takes effect later than `lifetime_s` after it began.
    """

    target: Target[R]
    upsert: Callable[[str, int], Change[R]]
    key: Callable[[str], str]
    held: Callable[[], Awaitable[dict[str, int]]]
    refused: Change[R]
    delete: Callable[[str], Change[R]] = cannot_now
    in_group: Callable[[str, str, int | None], Change[R]] = cannot_now
    consumed: Callable[[], Awaitable[list[str]]] = cannot
    put_foreign: Callable[[str], Awaitable[None]] = cannot
    put_leftover: Callable[[str], Awaitable[None]] = cannot
    lose_next: Callable[[float | None], None] = cannot_now
    key_names: tuple[str, ...] = ()
    lifetime_s: float = 0.05
    can: frozenset[Enum] = frozenset()


class LocalClouds(Protocol):
    """The local services, each started for the first that asks for it."""

    def aws(self) -> AwsServer:
        """With the credentials in the environment."""

    def aws_client(self, service: str) -> AbstractAsyncContextManager[Any]:
        """A client of that."""

    def azurite(self) -> Azurite:
        """Name containers uniquely."""

    def cosmos(self) -> "CosmosContainer":
        """Only in a container; name databases uniquely."""

    def servicebus(self) -> "ServiceBusContainer":
        """Likewise; name queues uniquely."""


SourceFactory: TypeAlias = Callable[[LocalClouds], AbstractAsyncContextManager[SourceWorld[Any]]]
TargetFactory: TypeAlias = Callable[[LocalClouds], AbstractAsyncContextManager[TargetWorld[Any]]]


@dataclass(frozen=True)
class Kind:
    """How the worlds of one connector are made, and what all of them can; `cloud` may be in a container for them."""

    factory: SourceFactory | TargetFactory
    can: frozenset[Enum]
    needs_means: dict[Enum, str] = field(default_factory=dict)
    cloud: Cloud | None = None


SOURCE_MEANS: dict[Enum, str] = {
    SourceCan.LOOKUP: "delete",
    SourceCan.GROUPS: "put_in_group",
    SourceCan.CLOSES: "close_log",
    SourceCan.TRIMS: "trim",
}
TARGET_MEANS: dict[Enum, str] = {
    TargetCan.HOLDS: "delete",
    TargetCan.GROUPS: "in_group",
    TargetCan.LOSES: "lose_next",
    TargetCan.FOREIGN: "put_foreign",
    TargetCan.LEFTOVERS: "put_leftover",
}
"""By what a world does what it says it can: it says so exactly where it has that."""


def source(factory: SourceFactory, *can: SourceCan, cloud: Cloud | None = None) -> Kind:
    """A kind of source."""
    return Kind(factory, frozenset(can), SOURCE_MEANS, cloud)


def target(factory: TargetFactory, *can: TargetCan, cloud: Cloud | None = None) -> Kind:
    """A kind of target."""
    return Kind(factory, frozenset(can), TARGET_MEANS, cloud)
