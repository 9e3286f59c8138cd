"""Promise: the state may be in blobs, be moved, and nothing is lost or done again by that."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.processes import replicator_program
from sandbox.workload import seed
from scenarios.migration import Migration, Status, run_command, running
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


def stage(status: Status) -> tuple[int, int]:
    """What would be another one if anything had been begun again."""
    return status["epoch"], status["copied"]


async def move(m: Migration, old: Path, new: Path, *options: str) -> tuple[int, str]:
    log = m.folder / "move.log"
    log.unlink(missing_ok=True)
    arguments = ("state", "move", str(old), str(new), *options)
    async with replicator_program(log, *arguments, environment=m.environment) as program:
        return await program.wait(60), program.text()


async def test_a_daemon_with_its_state_in_blobs_is_killed_and_goes_on_and_its_state_is_moved_to_a_file(
    aws: AwsServer, azurite: Azurite, tmp_path: Path
) -> None:
    """It goes on where it was, from either place: no copy is begun again, and the target need not be adopted."""
    async with world(aws, tmp_path) as w:
        w.config["state"] = in_blobs(azurite)
        w.write_config()
        code, text = await run_command(w, "check", "--json")
        assert code == 0, text
        assert "will be created" in text
        await seed(w.dynamodb, w.table, 20)
        async with running(w.daemon()) as daemon:
            begun = stage(await daemon.caught_up(time.time()))
            await daemon.kill()
            await seed(w.dynamodb, w.table, 30, seed=1)
            await daemon.start()
            assert stage(await daemon.caught_up(time.time())) == begun
            await w.assert_equal()

            file = tmp_path / "file.yaml"
            file.write_text(yaml.safe_dump({**w.config, "state": {"path": "moved.sqlite"}}))
            code, text = await move(w, w.path, file)
            assert (code, "is running on this state store" in text) == (2, True), text
        code, text = await move(w, w.path, file, "--json")
        assert code == 0, text
        told = json.loads(text.splitlines()[-1])
        assert told["moved"]
        assert told["entries"]["checkpoints"]

        code, text = await run_command(w, "run")
        assert code == 2
        assert f"has been moved to {tmp_path / 'moved.sqlite'}" in text
        await seed(w.dynamodb, w.table, 10, seed=2)
        async with running(w.daemon(path=file)) as daemon:
            assert stage(await daemon.caught_up(time.time())) == begun
            await w.assert_equal()
