"""Promise: every query of the dashboards finds something in a real Prometheus that has scraped running daemons.

One has a table in mode sync, whose target has refused a request and whose source has throttled, the other a queue.
Queries and JSON are proven, not that Grafana draws them.
"""

import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from dashboards import FOLDER
from sandbox.aws import AwsServer
from sandbox.faults import Answer
from sandbox.workload import Writer
from scenarios.migration import running
from scenarios.prometheus import Prometheus, prometheus
from scenarios.queue_world import queue_world
from scenarios.world import World, world

VALUES = {
    "${datasource}": "",
    "$migration": "shop",
    "$pipeline": "orders|payments",
    "$price": "0.25",
    "$__rate_interval": "5s",
}
"""What Grafana would put in the place of variables; the shortest rate of a Prometheus that scrapes so often."""

ONLY_SOMETIMES = {"The copy takes another": "nothing once the copy is through"}
"""Panels that are empty by their meaning; their queries are asked in their parts."""


def queries() -> list[tuple[str, str]]:
    """The title of the panel, and the query as Prometheus is asked."""
    panels: list[dict[str, Any]] = [
        panel for path in sorted(FOLDER.glob("*.json")) for panel in json.loads(path.read_text())["panels"]
    ]
    return [(panel["title"], _filled(target["expr"])) for panel in panels for target in panel["targets"]]


def _filled(expression: str) -> str:
    for name, value in VALUES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def test_every_variable_of_the_dashboards_is_among_those_that_are_filled_in() -> None:
    texts = "".join(path.read_text() for path in FOLDER.glob("*.json"))
    assert set(re.findall(r"\$\w+|\$\{\w+\}", texts)) == set(VALUES)


async def test_every_query_finds_something(aws: AwsServer, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("table", "queue", "prometheus")]
    for folder in folders:
        folder.mkdir()
    async with (
        world(aws, folders[0]) as w,
        queue_world(aws, folders[1], "payments") as q,
        prometheus(folders[2], w.http) as p,
    ):
        w.config["pipelines"]["orders"]["mode"] = "sync"
        w.write_config()
        async with running(w.daemon()) as table, running(q.daemon()) as queue:
            p.scrape(table.url, queue.url)
            await table.until(lambda s: s["phase"] == "following")
            await trouble(w)
            writer = Writer(w.dynamodb, w.table, space="w", rate_per_s=20)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(writer.run)
                await everything_is_found(p)
                writer.stop()


async def trouble(w: World) -> None:
    """What is counted from its first time on."""
    w.source_proxy.inject(Answer(status=500, body="{}"), headers={"X-Amz-Target": "GetRecords"}, count=1)
    w.target_proxy.inject(Answer(status=503, body="{}"), path="/docs", count=1)


async def everything_is_found(p: Prometheus) -> None:
    """Rates take a while; what is missing for a minute is missing."""
    missing = [(title, query) for title, query in queries() if title not in ONLY_SOMETIMES]
    assert len(missing) > 35
    with anyio.move_on_after(60):
        while missing:
            missing = [(title, query) for title, query in missing if not await p.query(query)]
            await anyio.sleep(0.2)
    assert missing == []
    for title, query in queries():
        if title in ONLY_SOMETIMES:
            assert await p.query(query) == []
            assert await p.query(query.replace(" > 0", "")), query


@pytest.mark.parametrize("title", ONLY_SOMETIMES)
def test_what_is_empty_now_and_then_is_still_there(title: str) -> None:
    assert title in {title for title, _ in queries()}
