"""`replicator state`: the state store itself, whatever its kind."""

import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import typer

from connectors import registry
from replicator.cli.ending import Exit
from replicator.clocks import elapsed_s
from replicator.config.loading import load_config
from replicator.config.models import MigrationConfig
from replicator.errors import ConfigurationError
from replicator.state.contents import Tally
from replicator.state.moving import is_done, leased, move, require_movable, tally
from replicator.state.opening import look_at_state, open_state
from replicator.telemetry import configure_logging

TOLD_INTERVAL_S = 2.0
"""Between two lines of progress."""


def run_move(old: Path, new: Path, *, dry_run: bool, as_json: bool) -> Exit:
    """OK when the state is where the new config says or, in a dry run, could be.

    Raises ConfigurationError where it cannot be moved.
    """
    configure_logging(as_json=False, level="info")
    configs = load_config(old, registry()), load_config(new, registry())
    places = tuple(config.state.place for config in configs)
    if places[0] == places[1]:
        raise ConfigurationError(str(new), f"names the same state as {old}", "Name another place in the new config")
    moved = anyio.run(partial(_look if dry_run else _move, *configs))
    if as_json:
        told = {"from": places[0], "to": places[1], "moved": not dry_run, "entries": moved.counts}
        typer.echo(json.dumps(told))
        return Exit.OK
    for kind, number in moved.counts.items():
        typer.echo(f"{number:>10,}  {kind}")
    verb = "would be moved" if dry_run else "is moved"
    typer.echo(f"the state {verb} from {places[0]} to {places[1]}" + ("" if dry_run else f". Run {new} from now on"))
    return Exit.OK


async def _look(old: MigrationConfig, new: MigrationConfig) -> Tally:
    """What would be moved. Raises ConfigurationError where it could not be."""
    kinds = registry()
    async with look_at_state(old.state, kinds) as source, look_at_state(new.state, kinds) as target:
        if is_done(await source.standings(), await target.standings()):
            return await tally(target, "looked at", _progress())
        for store, config in ((source, old), (target, new)):
            if await store.acquire_lease("state move", 1.0) > 0:
                problem = f"a daemon ({await store.lease_owner()}) is running on it, or was a moment ago"
                raise ConfigurationError(config.state.place, problem, "Stop it, and move then")
        await require_movable(source, target, old_place=old.state.place, new_place=new.state.place)
        return await tally(source, "looked at", _progress())


async def _move(old: MigrationConfig, new: MigrationConfig) -> Tally:
    """Looks first: to open what is not there would make it."""
    kinds = registry()
    async with look_at_state(old.state, kinds) as source, look_at_state(new.state, kinds) as target:
        if not is_done(await source.standings(), await target.standings()):
            await require_movable(source, target, old_place=old.state.place, new_place=new.state.place)
    async with AsyncExitStack() as stack:
        opened = []
        for config in (old, new):
            store = await stack.enter_async_context(open_state(config.state, kinds))
            await stack.enter_async_context(leased(store, config.state.place, config.limits))
            opened.append(store)
        places: dict[str, Any] = {"old_place": old.state.place, "new_place": new.state.place}
        return await move(*opened, **places, announce=_progress())


def _progress() -> Callable[[str, int], None]:
    """A line on standard error now and then."""
    told_at = elapsed_s()

    def tell(doing: str, entries: int) -> None:
        nonlocal told_at
        if elapsed_s() - told_at >= TOLD_INTERVAL_S:
            told_at = elapsed_s()
            typer.echo(f"{doing}: {entries:,}", err=True)

    return tell
