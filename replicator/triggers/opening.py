"""Opens the triggers of a config. None of them is called yet."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from replicator.config.models import MigrationConfig
from replicator.registry import Registry, TriggerContext, nothing_told
from replicator.triggers.looking import Opened
from replicator.triggers.model import Place, Side


@asynccontextmanager
async def open_triggers(
    config: MigrationConfig, registry: Registry, told: Callable[[], Awaitable[Mapping[str, object]]] = nothing_told
) -> AsyncIterator[dict[Place, Opened]]:
    """By place, in the order of the config; closed on leaving. `told` is what hooks are given.

    Raises ConfigurationError where one cannot even be set up.
    """
    sources = frozenset(pipeline.source.place for pipeline in config.pipelines.values() if pipeline.source.place)
    opened: dict[Place, Opened] = {}
    async with AsyncExitStack() as stack:
        for name, trigger in config.triggers.items():
            for side, given in ((Side.AWS, trigger.aws), (Side.AZURE, trigger.azure), (Side.TRAFFIC, trigger.traffic)):
                if given is not None:
                    place = Place(name, side)
                    context = TriggerContext(f"triggers.{place}", told, sources)
                    kind = registry.triggers_of(side)[given.type]
                    opened[place] = Opened(
                        await stack.enter_async_context(kind.open(given, context)), trigger.pipeline or ""
                    )
        yield opened
