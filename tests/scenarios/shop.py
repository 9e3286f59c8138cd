"""A whole shop, for rehearsals: both clouds with what it keeps there, its functions at either side and the application
that writes, all of them processes, and the migration between.

The functions at AWS are triggered by mappings, a notification and a rule or schedule, those at Azure by the settings of
a function app. Each notes what it has worked on, and the application what it has written.
"""

from __future__ import annotations

import io
import json
import os
import socket
import sys
import zipfile
from collections.abc import AsyncIterator, Mapping, Sequence
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
from sandbox.functions.server import Function
from sandbox.processes import Program, replicator_program, workload_program
from sandbox.servicebus import QueueSettings, ServiceBusServer
from sandbox.workload import create_orders_table, read_bucket
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
from scenarios.migration import Daemon, Migration, config_of, http_client
from scenarios.world import SOURCE

DATABASE, DOCUMENTS, BLOBS, APP = "shop", "orders", "media", "shop"

EXPIRES = "expires"
"""The attribute that says when an item expires."""

TO_LAMBDA = "to-lambda"
"""Id of the notification that triggers the function of uploads."""

FUNCTIONS = {"orders": "onOrder", "uploads": "onUpload", "nightly": "nightly"}

ENOUGH = {"max_lag_s": 20, "steady_s": 1, "max_gap_s": 5}

SYNC = {"sync": {"max_lag_s": 15, "steady_s": 1}}

CODE = io.BytesIO()
with zipfile.ZipFile(CODE, "w") as archive:
    archive.writestr("handler.py", "def handler(event, context): return {}")

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
        with anyio.fail_after(30):
            while now.exists() and now.read_text() != where:
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

    async def all_worked_on(self, deadline_s: float = 60) -> Reckoning:
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
        with anyio.fail_after(60):
            while not (self.folder / name).with_suffix(".reached").exists():
                await anyio.sleep(0.02)

    def open(self, name: str) -> None:
        (self.folder / name).with_suffix(".open").touch()

    def traffic_hook(self, where: str) -> list[str]:
        """A command that sends the application there."""
        return [sys.executable, "-m", "sandbox.workload.consumers.traffic", str(self.traffic), where]


async def switched_to(daemon: Daemon, stage: str, deadline_s: float = 120) -> Mapping[str, Any]:
    """How the switch stands when it has come to that."""
    told: Mapping[str, Any] = {}
    with anyio.move_on_after(deadline_s):
        while told.get("stage") != stage:
            _, told = await daemon.get("/v1/cutover/switch")
            await anyio.sleep(0.05)
    assert told.get("stage") == stage, told
    return told


async def waits_in(daemon: Daemon, step: str, what: str = "", deadline_s: float = 60) -> None:
    """Returns when the switch is in this step, and waits for this."""
    told: Mapping[str, Any] = {}
    with anyio.move_on_after(deadline_s):
        while True:
            _, told = await daemon.get("/v1/cutover/switch")
            last = told["steps"][-1] if told["steps"] else {"step": None, "ended_at": None}
            if last["step"] == step and last["ended_at"] is None and what in told["waiting_for"]:
                return
            await anyio.sleep(0.05)
    raise AssertionError(f"not in {step} within {deadline_s} s: {told}")


async def said(s: Shop, daemon: Daemon, expect: int, *arguments: str) -> str:
    """What a command prints that asks the daemon."""
    log = s.folder / f"{'-'.join(arguments[:2])}.log"
    log.unlink(missing_ok=True)
    program = replicator_program(log, *arguments, "--url", daemon.url, environment=s.environment)
    async with program:
        code, text = await program.wait(150), program.text()
    assert code == expect, text
    return text


async def ready(daemon: Daemon, deadline_s: float = 60) -> None:
    found: Mapping[str, Any] = {}
    with anyio.move_on_after(deadline_s):
        while not found.get("ready"):
            await anyio.sleep(0.1)
            _, found = await daemon.get("/v1/cutover")
    assert found.get("ready"), found.get("reasons")


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
        await _furnish(made, suffix, schedule=schedule)
        made.config = _config(made, mode)
        made.write_config(cutover=ENOUGH)
        yield made


async def _furnish(s: Shop, suffix: str, *, schedule: bool) -> None:
    """At AWS."""
    arn = await create_orders_table(s.clients["dynamodb"], s.table, ttl_attribute=EXPIRES)
    assert arn is not None
    s.stream = arn
    function = await _function(s, f"f-{suffix}")
    await _bucket(s, suffix)
    for name, queue in s.queues.items():
        await _queue(s, name, queue, suffix)
    for name, queue in s.queues.items():
        if queue.twins:
            s.mappings[name] = await _mapping(s, function, await _arn(s, s.urls[name]))
    s.mappings["orders"] = await _mapping(s, function, s.stream, StartingPosition="TRIM_HORIZON")
    await _ticking(s, suffix, function, schedule=schedule)
    app = s.arm.app(APP)
    for name in [*FUNCTIONS, *s.queues]:
        app.functions[s.function(name)] = Function()
        if name in FUNCTIONS or s.queues[name].twins:
            app.settings[f"AzureWebJobs.{s.function(name)}.Disabled"] = "true"


async def _function(s: Shop, name: str) -> str:
    """One for all mappings, which the local AWS does not run."""
    made = await s.clients["lambda"].create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role="arn:aws:iam::000000000000:role/none",
        Handler="handler.handler",
        Code={"ZipFile": CODE.getvalue()},
    )
    await s.clients["lambda"].put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    return str(made["FunctionArn"])


async def _mapping(s: Shop, function: str, arn: str, **options: Any) -> str:
    made = await s.clients["lambda"].create_event_source_mapping(EventSourceArn=arn, FunctionName=function, **options)
    return str(made["UUID"])


async def _arn(s: Shop, url: str) -> str:
    told = await s.clients["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(told["Attributes"]["QueueArn"])


async def _open_queue(s: Shop, name: str, called: str, *services: str) -> str:
    """Its ARN; these services may send to it."""
    attributes = {"VisibilityTimeout": "10"}
    s.urls[name] = (await s.clients["sqs"].create_queue(QueueName=called, Attributes=attributes))["QueueUrl"]
    arn = await _arn(s, s.urls[name])
    if services:
        principal = {"Service": [f"{service}.amazonaws.com" for service in services]}
        allow = {"Effect": "Allow", "Principal": principal, "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        await s.clients["sqs"].set_queue_attributes(QueueUrl=s.urls[name], Attributes={"Policy": policy})
    return arn


async def _bucket(s: Shop, suffix: str) -> None:
    """S3 tells an event to one place only: the function's is told by a notification, replicator through a rule."""
    invoked = await _open_queue(s, "uploads", f"uploads-{suffix}", "s3")
    events = await _open_queue(s, "media-events", f"media-events-{suffix}", "events")
    await s.clients["s3"].create_bucket(Bucket=s.bucket)
    entry = {"Id": TO_LAMBDA, "QueueArn": invoked, "Events": ["s3:ObjectCreated:*"]}
    await s.clients["s3"].put_bucket_notification_configuration(
        Bucket=s.bucket,
        NotificationConfiguration={"QueueConfigurations": [entry], "EventBridgeConfiguration": {}},
    )
    rule = f"media-to-replicator-{suffix}"
    pattern = json.dumps({"source": ["aws.s3"], "detail": {"bucket": {"name": [s.bucket]}}})
    await s.clients["events"].put_rule(Name=rule, EventPattern=pattern)
    await s.clients["events"].put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": events}])


async def _queue(s: Shop, name: str, queue: QueueOf, suffix: str) -> None:
    """What a topic fans out goes to Lambda's own queue, and to another one that is replicated."""
    if not queue.fanned:
        await _open_queue(s, name, f"{name}-{suffix}")
        return
    topic = (await s.clients["sns"].create_topic(Name=f"{name}-{suffix}"))["TopicArn"]
    s.topics[name] = topic
    for called in (name, f"{name}-mirror"):
        arn = await _open_queue(s, called, f"{called}-{suffix}", "sns")
        await s.clients["sns"].subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
        )


async def _ticking(s: Shop, suffix: str, function: str, *, schedule: bool) -> None:
    name = f"nightly-{suffix}"
    if not schedule:
        await s.clients["events"].put_rule(Name=name, ScheduleExpression="rate(1 day)", Description="every night")
        s.ticking = {"rule": name}
        return
    await s.clients["scheduler"].create_schedule(
        Name=name,
        Description="every night",
        ScheduleExpression="cron(0 3 * * ? *)",
        ScheduleExpressionTimezone="Europe/Berlin",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 10},
        Target={"Arn": function, "RoleArn": "arn:aws:iam::000000000000:role/none", "Input": '{"a": 1}'},
    )
    s.ticking = {"schedule": name}


def _config(s: Shop, mode: str) -> dict[str, Any]:
    waived = {"waive": {"verification": "the switch compares", "foreign": "this is a rehearsal"}}
    pipelines = {"orders": _orders(s, mode), "media": _media(s, mode)}
    pipelines |= {name: _queue_pipeline(s, name, queue, mode) for name, queue in s.queues.items()}
    config = config_of({name: {**pipeline, "cutover": waived} for name, pipeline in pipelines.items()})
    with socket.create_server(("127.0.0.1", 0)) as free:
        config["http"]["listen"] = f"127.0.0.1:{free.getsockname()[1]}"
    config["triggers"] = triggers(s)
    return config


def _orders(s: Shop, mode: str) -> dict[str, Any]:
    source = {"type": "dynamodb", "table": s.table, "endpoint": s.source_proxy.endpoint, **SOURCE}
    target = {
        "type": "cosmos",
        "endpoint": s.cosmos.endpoint,
        "key": "${COSMOS_KEY}",
        "database": DATABASE,
        "container": DOCUMENTS,
        "partition_key": ["/customer"],
        "create": True,
    }
    sync = SYNC if mode == "sync" else {}
    return {"mode": mode, "discover_interval_s": 1, "source": source, "target": target, **sync}


def _media(s: Shop, mode: str) -> dict[str, Any]:
    queue = s.urls["media-events"].rsplit("/", 1)[1]
    source = {"type": "s3", "bucket": s.bucket, "notifications": queue, "endpoint": s.aws.endpoint}
    target = {
        "type": "blob",
        "endpoint": s.azurite.endpoint,
        "key": "${BLOB_KEY}",
        "container": BLOBS,
        "create": True,
    }
    reached = {"sqs_endpoint": s.aws.endpoint, "counts_lag_s": 0.5}
    sync = SYNC if mode == "sync" else {}
    return {"mode": mode, "source": {**source, **reached, **bucket_world.SOURCE}, "target": target, **sync}


def _queue_pipeline(s: Shop, name: str, queue: QueueOf, mode: str) -> dict[str, Any]:
    called = s.urls[f"{name}-mirror" if queue.fanned else name].rsplit("/", 1)[1]
    source = {"type": "sqs", "queue": called, "endpoint": s.aws.endpoint, **queue_world.SOURCE}
    target = {
        "type": "servicebus",
        "queue": name,
        "connection_string": "${SERVICEBUS}",
        "management_endpoint": s.broker.http_endpoint,
    }
    sync = SYNC if mode == "sync" else {}
    return {"mode": mode, **sync, "source": {**source, "consume": queue.consume}, "target": target}


def triggers(s: Shop) -> dict[str, Any]:
    """Each entry point with its twin, in the order of the shop."""
    at_aws = {"endpoint": s.aws.endpoint, "region": s.aws.region}

    def twin(name: str) -> dict[str, Any]:
        place = {"endpoint": s.arm.endpoint, "token": s.arm.token, "app": s.arm.app_id(APP), "settle_s": 20}
        return {"type": "function", "function": s.function(name), **place}

    def mapping(name: str) -> dict[str, Any]:
        return {"type": "event_source_mapping", "uuid": s.mappings[name], **at_aws}

    found: dict[str, Any] = {"orders": {"pipeline": "orders", "aws": mapping("orders"), "azure": twin("orders")}}
    notification = {"type": "s3_notification", "bucket": s.bucket, "id": TO_LAMBDA, **at_aws}
    found["uploads"] = {"pipeline": "media", "aws": notification, "azure": twin("uploads")}
    for name, queue in s.queues.items():
        if queue.twins:
            found[name] = {"pipeline": name, "aws": mapping(name), "azure": twin(name)}
    ((kind, name),) = s.ticking.items()
    found["nightly"] = {"aws": {"type": kind, "name": name, **at_aws}, "azure": twin("nightly")}
    return found
