"""A Service Bus queue as a target of messages."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from connectors.azure.servicebus.check import Looked, findings, require_order, require_shape
from connectors.azure.servicebus.claims import BlobClaims, open_claims
from connectors.azure.servicebus.config import ServiceBusTargetConfig
from connectors.azure.servicebus.errors import QueueMissingError
from connectors.azure.servicebus.estimating import queue_figures
from connectors.azure.servicebus.fetching import Fetching
from connectors.azure.servicebus.links import Open, opener
from connectors.azure.servicebus.mapping import MappingRules
from connectors.azure.servicebus.planning import planned_of_queue
from connectors.azure.servicebus.preparing import Preparation
from connectors.azure.servicebus.queues import Queue, Queues, open_queues
from connectors.azure.servicebus.sending import Sending
from connectors.azure.servicebus.starting import probed
from replicator.clocks import utc_now
from replicator.errors import ConfigurationError
from replicator.estimate.figures import TargetFigures
from replicator.messages import Message, PassingTarget
from replicator.model import Change, Finding, Rejection, Rule
from replicator.planning.model import Intended
from replicator.registry import TargetContext


class ServiceBusTarget(PassingTarget[Message]):
    """See `replicator.ports.Target`. Usable once connected."""

    def __init__(
        self,
        config: ServiceBusTargetConfig,
        context: TargetContext,
        open_link: Open,
        queues: Queues | None,
        claims: BlobClaims | None,
    ) -> None:
        self._config = config
        self._where = context.where
        self._telemetry = context.telemetry
        self._sending = Sending(open_link, context.delivery, config.senders, self._doubted)
        self._queues = queues
        self._claims = claims
        rules = MappingRules(config.sessions, config.drop_order, config.content_type)
        self._preparation = Preparation(rules, claims, config.s3_buckets if config.s3_pointers == "rewrite" else None)
        self._fetching = Fetching(context.telemetry)
        self._queue: Queue | None = None
        self._unknown = ""
        self._ordered_groups = False

    async def connect(self, key_names: tuple[str, ...], *, ordered_groups: bool = False) -> None:
        require_order(self._config, self._where, ordered_groups=ordered_groups)
        self._ordered_groups = ordered_groups
        await self._look()
        if self._queue is not None or self._unknown:
            await self._try_link()
        elif not self._config.create:
            raise self._missing("Create it, or set create: true")
        if self._claims is not None:
            await self._claims.connect()

    @property
    def endpoints(self) -> tuple[str, ...]:
        claims = self._config.claim_check
        scheme = "http" if self._config.access.plain else "https"
        return (f"{scheme}://{self._config.access.host}", *((claims.endpoint,) if claims else ()))

    async def create(self) -> None:
        if self._claims is not None:
            await self._claims.create()
        if self._queue is None and not self._unknown and self._queues is not None:
            await probed(self._where, self._queues.create)
            await self._look()
            await self._try_link()

    async def apply(self, changes: Sequence[Change[Message]], rule: Rule) -> list[Rejection]:
        self._telemetry.possibly_duplicated(sum(self._may_repeat(change.record) for change in changes))
        limit = self._max_bytes
        parcels, rejections = await self._preparation.prepare(changes, limit)
        if rejections:
            await self._sending.look()
            if self._max_bytes > limit:
                parcels, rejections = await self._preparation.prepare(changes, self._max_bytes)
        return rejections + await self._fetching.send(parcels, self._sending.send)

    async def check(self) -> list[Finding]:
        looked = Looked(self._config, self._queue, self._unknown, self._max_bytes, self._ordered_groups)
        return findings(looked, self._where)

    async def planned(self) -> list[Intended]:
        """See `replicator.planning.model.PlannedTarget`."""
        return planned_of_queue(self._config, missing=self._queue is None and not self._unknown)

    async def figures(self, sample: Sequence[Change[Message]], record_bytes: float | None) -> TargetFigures:
        """See `replicator.estimate.figures.SurveyedTarget`."""
        return queue_figures(record_bytes)

    async def probe(self, sample: Sequence[Change[Message]], figures: TargetFigures) -> TargetFigures:
        """Nothing is sent."""
        return figures

    async def close(self) -> None:
        """Ends all links; bounded."""
        await self._sending.close()

    @property
    def _window_s(self) -> float:
        """For how long the queue surely recognises a message; 0 where that is not known."""
        return (self._queue.duplicate_window_s if self._queue else None) or 0.0

    def _may_repeat(self, message: Message) -> bool:
        """Whether the source has delivered it before, and the queue may not recognise it.

        It was first sent on after it was sent, so while that is within the window, so is the other.
        """
        return message.received > 1 and (utc_now() - message.sent_at).total_seconds() >= self._window_s

    def _doubted(self, messages: int) -> None:
        """They will be sent again within seconds, which any window covers."""
        if not self._window_s:
            self._telemetry.possibly_duplicated(messages)

    @property
    def _max_bytes(self) -> int:
        limit = self._sending.limits.message_bytes
        return min(limit, self._config.max_message_bytes or limit)

    async def _look(self) -> None:
        """At the settings of the queue. Where that is not permitted, or not possible, sending may be all the same."""
        if self._queues is None:
            self._unknown = "there is no management_endpoint"
            return
        try:
            self._queue = await probed(self._where, self._queues.find)
        except ConfigurationError as error:
            self._unknown = str(error.__cause__)
            return
        if self._queue is not None:
            require_shape(self._queue, self._config, self._where)
            self._sending.limits.apart = self._queue.partitioned

    async def _try_link(self) -> None:
        try:
            await probed(self._where, self._sending.open)
        except ConfigurationError as error:
            if isinstance(error.__cause__, QueueMissingError):
                reason = f"; it cannot be created here: {self._unknown}" if self._config.create else ""
                raise self._missing(f"Create it{reason}") from error
            raise

    def _missing(self, fix: str) -> ConfigurationError:
        return ConfigurationError(f"{self._where}.queue", f"there is no queue {self._config.queue}", fix)


@asynccontextmanager
async def open_target(config: ServiceBusTargetConfig, context: TargetContext) -> AsyncIterator[ServiceBusTarget]:
    """A target with clients of its own, closed on leaving. Raises ConfigurationError where it cannot be set up."""
    async with AsyncExitStack() as stack:
        open_link = await stack.enter_async_context(opener(config, context.where))
        queues = await stack.enter_async_context(open_queues(config, context.where))
        claims = None
        if config.claim_check is not None:
            opened = open_claims(
                config.claim_check, config, context, f"{context.where}.claim_check", create=config.create
            )
            claims = await stack.enter_async_context(opened)
        target = ServiceBusTarget(config, context, open_link, queues, claims)
        stack.push_async_callback(target.close)
        yield target
