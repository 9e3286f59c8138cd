"""A whole shop, for rehearsals: both clouds with what it keeps there, its functions at either side and the application
that writes, all of them processes, and the migration between.

The functions at AWS are triggered by mappings, a notification and a rule or schedule, those at Azure by the settings of
a function app. Each notes what it has worked on, and the application what it has written.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from azure.storage.blob.aio import ContainerClient

from sandbox.aws import AwsServer
from sandbox.azurite import Azurite
from sandbox.cosmos import CosmosServer
from sandbox.faults import FaultProxy
from sandbox.functions import FunctionsServer
from sandbox.processes import Program, workload_program
from sandbox.servicebus import QueueSettings, ServiceBusServer
from sandbox.workload import read_bucket
from sandbox.workload.consumers import (
    ApplicationSettings,
    Entry,
    FunctionsSettings,
    LambdaSettings,
    QueueFunction,
    Reckoning,
    Sending,
    read_journal,
    reckon,
)
from sandbox.workload.consumers.settings import AWS, AZURE, EVENT
from sandbox.workload.consumers.traffic import confirmation, send_to
from scenarios import bucket_world, queue_world
from scenarios.furnishing import APP, EXPIRES, FUNCTIONS, furnish
from scenarios.migration import DEADLINE_S, Migration, http_client
from scenarios.shop_config import BLOBS, DATABASE, DOCUMENTS, config

ENOUGH = {"max_lag_s": 20, "steady_s": 1, "max_gap_s": 5}

GATE = """
import pathlib, sys, time
gate = pathlib.Path(sys.argv[1])
gate.with_suffix(".reached").touch()
while not gate.with_suffix(".open").exists():
    time.sleep(0.02)
"""


@dataclass(frozen=True)
class QueueOf:
    """A queue of the shop and how it is consumed. `fanned`: a topic tells Lambda's queue, and the one that is
    replicated, of each message. `twins`: whether a mapping triggers a function of it at AWS.
    """

    consume: str
    fanned: bool = False
    twins: bool = True


@dataclass
class Shop(Migration):
    """`queues` by name; `mappings` are UUIDs by what they trigger, `urls` of queues by their names in the shop."""

    aws: AwsServer
    cosmos: CosmosServer
    azurite: Azurite
    broker: ServiceBusServer
    arm: FunctionsServer
    clients: dict[str, Any]
    container: ContainerClient
    source_proxy: FaultProxy
    queues: Mapping[str, QueueOf]
    table: str
    bucket: str
    stream: str = ""
    urls: dict[str, str] = field(default_factory=dict)
    topics: dict[str, str] = field(default_factory=dict)
    mappings: dict[str, str] = field(default_factory=dict)
    ticking: dict[str, str] = field(default_factory=dict)
    gates: list[str] = field(default_factory=list)

    @property
    def traffic(self) -> Path:
        """The file that says where the application writes."""
        return self.folder / "traffic"

    @property
    def kinds(self) -> set[str]:
        """Of the events that the application writes."""
        return {"orders", "uploads", *self.queues}

    @property
    def daemon_url(self) -> str:
        return f"http://{self.config['http']['listen']}"

    def function(self, name: str) -> str:
        """At Azure."""
        return FUNCTIONS.get(name, f"on-{name}".replace("-", ""))

    # Programs

    @asynccontextmanager
    async def at_work(self, *programs: Program) -> AsyncIterator[None]:
        """All of them run, and are stopped at the end."""
        async with AsyncExitStack() as stack:
            for program in programs:
                await stack.enter_async_context(program)
            for program in programs:
                await program.line("running")
            yield
            for program in programs:
                assert program.exit_code is None, program.tail()

    def lambdas(self) -> Program:
        """The functions at AWS."""
        settings = LambdaSettings(
            endpoint=self.aws.endpoint,
            journal=self.folder / "at-aws.jsonl",
            checkpoints=self.folder / "checkpoints.json",
            stream=self.stream,
            stream_mapping=self.mappings["orders"],
            queues=[
                QueueFunction(kind=name, url=self.urls[name], mapping=self.mappings[name])
                for name, queue in self.queues.items()
                if queue.twins
            ],
            uploads=self.urls["uploads"],
            rule=self.ticking.get("rule", ""),
            schedule=self.ticking.get("schedule", ""),
        )
        return self._program("lambdas", settings.model_dump_json())

    def functions(self) -> Program:
        """The function app."""
        settings = FunctionsSettings(
            arm=self.arm.endpoint,
            token=self.arm.token,
            app=self.arm.app_id(APP),
            journal=self.folder / "at-azure.jsonl",
            leases=self.folder / "leases.json",
            cosmos=self.cosmos.endpoint,
            database=DATABASE,
            container=DOCUMENTS,
            orders=self.function("orders"),
            blobs=BLOBS,
            uploads=self.function("uploads"),
            queues={name: self.function(name) for name in self.queues},
            timer=self.function("nightly"),
        )
        return self._program("functions", settings.model_dump_json())

    def application(self, name: str, *, hooked: bool = False, rate_per_s: float = 3) -> Program:
        """What writes events whose ids begin with `name`."""
        settings = ApplicationSettings(
            name=name,
            journal=self.folder / f"{name}.written.jsonl",
            traffic=self.traffic,
            rate_per_s=rate_per_s,
            endpoint=self.aws.endpoint,
            table=self.table,
            bucket=self.bucket,
            sendings=[
                Sending(kind=kind, at_azure=kind, topic=self.topics[kind])
                if kind in self.topics
                else Sending(kind=kind, at_azure=kind, queue=self.urls[kind])
                for kind in self.queues
            ],
            daemon=self.daemon_url if hooked else "",
            cosmos=self.cosmos.endpoint,
            database=DATABASE,
            container=DOCUMENTS,
            blobs=BLOBS,
        )
        return self._program("application", settings.model_dump_json(), name)

    def _program(self, module: str, settings: str, name: str = "") -> Program:
        path = self.folder / f"{name or module}.settings.json"
        path.write_text(settings)
        return workload_program(module, path.with_suffix(".log"), str(path), environment=self.environment)

    async def send_traffic(self, where: str) -> None:
        """Returns when the application writes there, or nowhere."""
        send_to(self.traffic, where)
        now = confirmation(self.traffic)
        with anyio.fail_after(DEADLINE_S):
            while now.exists() and now.read_text() != where:  # noqa: ASYNC110 -- another process tells it
                await anyio.sleep(0.02)

    # What came of it

    def reckoning(self) -> Reckoning:
        """Of all events so far."""
        return reckon(self.written(), self.worked_on(AWS) + self.worked_on(AZURE))

    def written(self) -> list[Entry]:
        """By the application, at either side."""
        return [entry for path in self.folder.glob("*.written.jsonl") for entry in read_journal(path)]

    def worked_on(self, side: str) -> list[Entry]:
        """By the functions there."""
        return read_journal(self.folder / f"at-{side}.jsonl")

    async def all_worked_on(self, deadline_s: float = DEADLINE_S) -> Reckoning:
        """Waits until no event that was written is left."""
        with anyio.move_on_after(deadline_s):
            while self.reckoning().lost:  # noqa: ASYNC110 -- the processes tell it by files
                await anyio.sleep(0.1)
        found = self.reckoning()
        assert not found.lost, f"{len(found.lost)} events were worked on by nobody: {found.lost[:5]}"
        return found

    async def assert_equal(self) -> None:
        """At Azure is all that is at AWS, and beside it only what the application has written there."""
        pages = self.clients["dynamodb"].get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True)
        found = [item async for page in pages for item in page["Items"] if EXPIRES not in item]
        items = [{name: value["S"] for name, value in item.items()} for item in found]
        documents = [json.loads(item.body) for item in self.cosmos.account.container(DATABASE, DOCUMENTS).items()]
        held = {d.get(EVENT): {n: d.get(n) for n in ("customer", "order_id", EVENT)} for d in documents}
        wanted = {item[EVENT]: item for item in items}
        assert {event: held.get(event) for event in wanted} == wanted
        ours = {entry.event for entry in self.written() if entry.side == AZURE}
        assert held.keys() - wanted.keys() <= ours, "somebody else has written documents"
        objects = {key: (of.size, of.md5) async for key, of in read_bucket(self.clients["s3"], self.bucket)}
        blobs = {key: (of.size, of.md5) for key, of in (await bucket_world.held_blobs(self.container)).items()}
        assert {key: blobs.get(key) for key in objects} == objects
        assert blobs.keys() - objects.keys() <= ours, "somebody else has written blobs"

    async def trigger_states(self) -> dict[str, Any]:
        """All that a switch may turn, as the services themselves tell it."""
        mapping = self.clients["lambda"].get_event_source_mapping
        told: dict[str, Any] = {name: await mapping(UUID=uuid) for name, uuid in self.mappings.items()}
        told["notifications"] = await self.clients["s3"].get_bucket_notification_configuration(Bucket=self.bucket)
        if "rule" in self.ticking:
            told["rule"] = await self.clients["events"].describe_rule(Name=self.ticking["rule"])
        if "schedule" in self.ticking:
            told["schedule"] = await self.clients["scheduler"].get_schedule(Name=self.ticking["schedule"])
        told["settings"] = dict(self.arm.app(APP).settings)
        changing = {"ResponseMetadata", "LastModified", "LastModificationDate", "LastProcessingResult"}
        return {name: {n: v for n, v in one.items() if n not in changing} for name, one in told.items()}

    # Gates: hooks that wait until they are opened

    def gate(self, name: str, side: str) -> dict[str, Any]:
        """A trigger of which one side waits, when the switch comes to it, until `open`."""
        path, turn = str(self.folder / name), "off" if side == AWS else "on"
        self.gates.append(name)
        passing = [sys.executable, "-c", ""]
        hook = {"off": passing, "on": passing, turn: [sys.executable, "-c", GATE, path], "timeout_s": 120}
        return {side: {"type": "command", **hook}}

    async def reached(self, name: str) -> None:
        with anyio.fail_after(DEADLINE_S):
            while not (self.folder / name).with_suffix(".reached").exists():  # noqa: ASYNC110 -- likewise
                await anyio.sleep(0.02)

    def open(self, name: str) -> None:
        (self.folder / name).with_suffix(".open").touch()

    def traffic_hook(self, where: str) -> list[str]:
        """A command that sends the application there."""
        return [sys.executable, "-m", "sandbox.workload.consumers.traffic", str(self.traffic), where]


@asynccontextmanager
async def shop(
    aws: AwsServer, folder: Path, *, mode: str, queues: Mapping[str, QueueOf], schedule: bool = False
) -> AsyncIterator[Shop]:
    """Everything made and nothing running; the config has triggers for all that has a function at AWS."""
    suffix = os.urandom(4).hex()
    async with AsyncExitStack() as stack:
        cosmos = await stack.enter_async_context(CosmosServer())
        azurite = await stack.enter_async_context(Azurite(location=folder / "azurite"))
        declared = {name: QueueSettings(duplicate_window_s=queue_world.WINDOW_S) for name in queues}
        broker = await stack.enter_async_context(ServiceBusServer(declared))
        arm = await stack.enter_async_context(FunctionsServer())
        proxy = await stack.enter_async_context(FaultProxy("127.0.0.1", aws.port))
        services = ("dynamodb", "dynamodbstreams", "s3", "sqs", "sns", "lambda", "events", "scheduler")
        clients = {service: await stack.enter_async_context(aws.client(service)) for service in services}
        container = await stack.enter_async_context(
            ContainerClient.from_connection_string(azurite.connection_string, BLOBS)
        )
        environment = {
            **aws.environment,
            "COSMOS_KEY": cosmos.key,
            "BLOB_KEY": azurite.account_key,
            "BLOBS": azurite.connection_string,
            "SERVICEBUS": broker.connection_string,
        }
        made = Shop(
            folder, await stack.enter_async_context(http_client()), {}, environment,
            aws, cosmos, azurite, broker, arm, clients, container, proxy, queues,
            f"orders-{suffix}", f"media-{suffix}",
        )  # fmt: skip
        await furnish(made, suffix, schedule=schedule)
        made.config = config(made, mode)
        made.write_config(cutover=ENOUGH)
        yield made
