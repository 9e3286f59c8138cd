"""Promise: no secret, no body and, where keys are hashed, no key is to be seen in anything that a daemon says."""

import json
from pathlib import Path

import aiohttp
import pytest

from sandbox.aws import AwsServer
from sandbox.faults import Answer
from sandbox.processes import replicator_program
from scenarios.migration import Daemon, running
from scenarios.world import World, world

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

TOKEN = "planted-token-0123456789"
AWS_SECRET = "planted/aws/secret/key"
BODY = "planted-body"
PERSON = "jane@planted.example"

ITEM = {"customer": {"S": PERSON}, "order_id": {"S": "o1"}, "version": {"N": "1"}, "text": {"S": BODY}}

UNHOLDABLE = {"padding": {"S": "\x01" * 390_000}}
"""More than Cosmos DB takes."""


async def command(w: World, daemon: Daemon, *words: str, token: str = TOKEN) -> str:
    """All that a command prints, whatever its exit code."""
    log = w.folder / "command.log"
    log.unlink(missing_ok=True)
    environment = {**w.environment, "REPLICATOR_TOKEN": token}
    async with replicator_program(log, *words, "--url", daemon.url, environment=environment) as program:
        await program.wait(60)
        return program.text()


async def letters(w: World, daemon: Daemon) -> list[str]:
    """How the open dead letters are named."""
    listed = json.loads(await command(w, daemon, "dead-letters", "list", "--json"))
    return [letter["key"] for letter in listed]


async def said(w: World, daemon: Daemon) -> str:
    """What its interface and the commands say, in order and with mistakes."""
    (name,) = await letters(w, daemon)
    said_by = (
        ("status",), ("dead-letters", "list"), ("dead-letters", "retry", "orders", "--all"),
        ("dead-letters", "retry", "orders", "--key", name), ("pause",), ("budget", "orders", "--concurrency", "4"),
        ("resume",), ("dead-letters", "discard", "orders", "--key", name, "--reason", "not wanted"),
        ("audit",),
    )  # fmt: skip
    texts = [await command(w, daemon, *words) for words in said_by]
    texts.append(await command(w, daemon, "audit", token="another token than that"))
    async with aiohttp.ClientSession(daemon.url, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        for path in ("/metrics", "/v1/status", "/readyz", "/v1/dead-letters", "/v1/actions", "/openapi.json"):
            async with http.get(path) as answer:
                texts.append(await answer.text())
        wrong = {"pipeline": "orders", "keys": [PERSON], "oops": BODY}
        async with http.post("/v1/dead-letters/retry", json=wrong) as answer:
            texts.append(await answer.text())
    return "\n".join(texts)


async def test_nothing_planted_is_seen(aws: AwsServer, tmp_path: Path) -> None:
    async with world(aws, tmp_path) as w:
        w.config |= {
            "keys": "hashed", "dead_letters": {"payloads": "store"}, "log": {"format": "json", "level": "debug"},
            "http": {"listen": "127.0.0.1:0", "token": TOKEN},
        }  # fmt: skip
        w.environment["AWS_SECRET_ACCESS_KEY"] = AWS_SECRET  # the server checks no signature
        w.write_config()
        await w.dynamodb.put_item(TableName=w.table, Item={**ITEM, "order_id": {"S": "o0"}})
        async with running(w.daemon()) as daemon:
            await daemon.until(lambda s: s["phase"] == "following")
            w.target_proxy.inject(Answer(status=503), probability=0.3, count=5)
            w.source_proxy.inject(Answer(status=500), probability=0.3, count=5)
            await w.dynamodb.put_item(TableName=w.table, Item={**ITEM, **UNHOLDABLE})
            await daemon.until(lambda s: s["dead_letters"] == 1)
            (letter,) = await letters(w, daemon)
            whole = await command(w, daemon, "dead-letters", "show", "orders", "--key", letter)
            assert PERSON in whole, "whoever may and asks for it is shown"
            seen = await said(w, daemon)
            shown = await command(w, daemon, "audit", "--json")
            assert [a["name"] for a in json.loads(shown)].count("discard dead letters") == 1
        log = daemon.program.log.read_text()
        assert '"operator action"' in log
        secrets = (TOKEN, w.cosmos.key, AWS_SECRET)
        for planted in (*secrets, BODY, PERSON, UNHOLDABLE["padding"]["S"][:50]):
            assert planted not in seen, planted
            assert planted not in log, planted
