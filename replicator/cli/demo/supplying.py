"""The demo's workload on local clouds, for a daemon that somebody else runs: `replicator sandbox up --workload`."""

import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import anyio
import typer

from replicator.cli.demo.running import config_of, open_workloads, together
from replicator.cli.demo.workload import Load
from replicator.cli.sandbox import local_clouds, print_clouds, until_interrupted
from replicator.errors import ConfigurationError

CONFIG = "migration.yaml"
LEFT_BEHIND = (CONFIG, "state.sqlite*")
LISTEN = "${REPLICATOR_LISTEN:-127.0.0.1:8080}"

ITEMS, OBJECTS, MESSAGES, LARGE_BYTES = 2_000, 60, 50, 8_000_000


def supply(folder: Path, *, rate_per_s: float) -> None:
    """Until SIGINT or SIGTERM. Raises ConfigurationError when the clouds do not start or nothing can be written."""
    load = Load(ITEMS, OBJECTS, MESSAGES, rate_per_s, math.inf, LARGE_BYTES)
    anyio.run(until_interrupted, partial(supplied, folder, load))


def _clear(folder: Path) -> None:
    """Of what belongs to clouds that are no more: a daemon's state would not fit new ones."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for pattern in LEFT_BEHIND:
            for old in folder.glob(pattern):
                old.unlink()
    except OSError as error:
        raise ConfigurationError(str(folder), f"cannot be written ({error})", "Name another folder") from error


async def supplied(folder: Path, load: Load) -> None:
    """For as long as the load says, once all of it is filled. Raises as `supply` does."""
    _clear(folder)
    say = partial(typer.echo, err=True)
    async with local_clouds(folder, say=say) as clouds, open_workloads(clouds, load) as workloads:
        await together(workloads, lambda workload: workload.fill())
        _write(folder / CONFIG, with_defaults(config_of(workloads, listen=LISTEN), clouds.environment))
        print_clouds(clouds)
        typer.echo(f"Run a daemon with {folder / CONFIG}.")
        await together(workloads, lambda workload: workload.write(load.seconds))


def with_defaults(config: str, environment: Mapping[str, str]) -> str:
    """Each variable of the environment that the config asks for has there the value that it has here, as a default."""
    return re.sub(r"\$\{(\w+)\}", lambda found: f"${{{found[1]}:-{environment[found[1]]}}}", config)


def _write(path: Path, text: str) -> None:
    """Whole, or not there: whoever waits for it may begin."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.rename(path)
