"""Promise: the state may be in blobs, be moved, and nothing is lost or done again by that."""

from __future__ import annotations

import json
import os
import time
import uuid
from typing import TYPE_CHECKING, Any

import yaml

from connectors import registry
from replicator.cli.looking import look_at
from replicator.config.loading import load_config
from replicator.engine.opening import connect
from replicator.engine.ownership import Claim
from replicator.state.opening import look_at_state
from sandbox.processes import replicator_program
from sandbox.workload import seed
from scenarios.migration import Migration, running
from scenarios.world import world

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.aws import AwsServer
    from sandbox.azurite import Azurite


def in_blobs(azurite: Azurite) -> dict[str, Any]:
    return {
        "type": "blob",
        "endpoint": azurite.endpoint,
        "key": azurite.account_key,
        "container": f"s{uuid.uuid4().hex}",
        "create": True,
    }


async def claim(m: Migration) -> Claim | None:
    """How a daemon would begin."""
    os.environ.update(m.environment)
    config = load_config(m.path, registry())
    async with (
        look_at_state(config.state, registry()) as store,
        look_at("orders", config.pipelines["orders"], config, store) as pipeline,
    ):
        await connect(pipeline)
        return await pipeline.judge(adopt=False)


async def moved(m: Migration, old: Path, new: Path) -> tuple[int, str]:
    log = m.folder / "move.log"
    log.unlink(missing_ok=True)
    arguments = ("state", "move", str(old), str(new), "--json")
    async with replicator_program(log, *arguments, environment=m.environment) as program:
        return await program.wait(60), program.text()


async def test_a_daemon_with_its_state_in_blobs_is_killed_and_goes_on_and_its_state_is_moved_to_a_file(
    aws: AwsServer, azurite: Azurite, tmp_path: Path
) -> None:
    """It goes on where it was, from either place: the targets are still its own."""
    async with world(aws, tmp_path) as w:
        w.config["state"] = in_blobs(azurite)
        w.write_config()
        await seed(w.dynamodb, w.table, 20)
        async with running(w.daemon()) as daemon:
            begun = await daemon.until(lambda s: s["copied"] == 20)
            await daemon.kill()
            await seed(w.dynamodb, w.table, 30, seed=1)
            await daemon.start()
            assert (await daemon.caught_up(time.time()))["epoch"] == begun["epoch"]
            await w.assert_equal()

        file = tmp_path / "file.yaml"
        file.write_text(yaml.safe_dump({**w.config, "state": {"path": "moved.sqlite"}}))
        code, text = await moved(w, w.path, file)
        assert code == 0, text
        told = json.loads(text.splitlines()[-1])
        assert told["moved"]
        assert told["entries"]["checkpoints"]
        w.path.write_text(file.read_text())
        assert await claim(w) is Claim.RESUME
