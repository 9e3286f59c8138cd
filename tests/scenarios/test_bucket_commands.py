"""A bucket's pipeline as a person runs it: checked beforehand, copied once, its dead letters taken up again."""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.aws import AwsServer
from sandbox.workload import seed_bucket
from scenarios.bucket_world import EVENTS, BucketWorld, bucket_world
from scenarios.migration import Daemon, run_command, running

ARCHIVED = {"StorageClass": "GLACIER"}


async def checked(w: BucketWorld, expect: int) -> dict[str, str]:
    """What was found, by severity."""
    code, said = await run_command(w, "check", "--json")
    findings: list[dict[str, Any]] = json.loads(said)
    assert code == expect, [f for f in findings if f["severity"] not in {"ok", "note"}]
    found: dict[str, str] = {}
    for f in findings:
        found[f["severity"]] = found.get(f["severity"], "") + f"{f['where']}: {f['message']}. {f['fix']}\n"
    return found


async def test_a_config_that_is_fine(aws: AwsServer, tmp_path: Path) -> None:
    """Before the first run, while it runs and afterwards; check changes nothing, and a run says the same."""
    async with bucket_world(aws, tmp_path) as w:
        await w.put("a", b"1")
        found = await checked(w, 0)
        assert found.keys() <= {"ok", "note"}
        assert await w.blob("a") is None
        async with running(w.daemon()) as daemon:
            await w.settled(daemon)
            assert "is running this migration" in (await checked(w, 0))["note"]
        await w.assert_equal()


async def test_what_would_go_wrong_is_found_beforehand(aws: AwsServer, tmp_path: Path) -> None:
    """Events that are not told, and a container and a bucket that are not there."""
    async with bucket_world(aws, tmp_path, target={"create": False}) as w:
        assert "container media does not exist" in (await checked(w, 2))["error"]
        w.pipeline["target"]["create"] = True
        w.write_config()
        await w.notify("s3:ObjectCreated:*")
        found = await checked(w, 2)
        assert "s3:ObjectRemoved" in "".join(found.values())
        assert "s3:ObjectTagging" in "".join(found.values())
        w.pipeline["source"]["bucket"] = "nowhere"
        w.write_config()
        assert "there is no bucket nowhere" in (await checked(w, 2))["error"]


async def test_a_bucket_is_copied_once_and_the_command_ends(aws: AwsServer, tmp_path: Path) -> None:
    """No events are needed, and none is taken; what was left out shows in the exit code."""
    async with bucket_world(aws, tmp_path, mode="copy") as w:
        await seed_bucket(w.s3, w.bucket, 120, large_bytes=6_000_000)
        waiting = await w.waiting()
        code, text = await run_command(w, "run")
        assert code == 0, text
        assert await w.waiting() == waiting > 0
        assert not await w.differences()
        code, _ = await run_command(w, "run")
        assert code == 0, "it has been copied, and is not copied again"


async def test_what_a_copy_left_out_shows_in_the_exit_code(aws: AwsServer, tmp_path: Path) -> None:
    async with bucket_world(aws, tmp_path, mode="copy") as w:
        await w.put("fine", b"1")
        await w.put("archived", b"2", **ARCHIVED)
        code, text = await run_command(w, "run")
        assert code == 1
        assert '"dead_letters": 1' in text
        assert await w.blob("fine") == b"1"


@pytest.mark.parametrize("resolved_by", ["retry", "event"])
async def test_a_dead_letter_is_resolved_by_a_retry_or_by_a_later_event(
    aws: AwsServer, tmp_path: Path, resolved_by: str
) -> None:
    """An archived object that was restored by being written anew, and a key that no blob can have that was deleted."""
    async with bucket_world(aws, tmp_path) as w, w.watching():
        await w.put("archived", b"cold", **ARCHIVED)
        async with running(w.daemon()) as daemon:
            await w.settled(daemon)
            await w.put("folder\\name", b"no")
            await w.put("folder/name", b"yes")
            await daemon.until(lambda s: s["dead_letters"] == 2)
            await w.settled(daemon)
            letters = await daemon.dead_letters()
            assert "is archived (GLACIER)" in letters["archived"]
            assert "backslash" in letters["folder\\name"]
            await w.notify(*(EVENTS if resolved_by == "event" else ()))
            await w.put("archived", b"warm", StorageClass="STANDARD")
            await w.delete("folder\\name")
            if resolved_by == "retry":
                await _retry(daemon, list(letters))
            await daemon.until(lambda s: s["dead_letters"] == 0)
        assert await w.blob("archived") == b"warm"
        await w.assert_equal()


async def _retry(daemon: Daemon, keys: list[str]) -> None:
    code, answer = await daemon.post("/v1/dead-letters/retry", {"pipeline": "media", "keys": keys})
    assert (code, answer) == (200, {"resolved": 2, "open": 0, "unknown": []})
