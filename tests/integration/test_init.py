"""Promise: `init` writes a valid config and the least of policies for what functions use, and changes nothing."""

from __future__ import annotations

import io
import json
import re
import zipfile
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiobotocore.session import AioSession
from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient
from azure.storage.blob.aio import ContainerClient

from connectors import registry
from connectors.aws.sqs.config import SqsSourceConfig
from connectors.azure.cosmos.config import CosmosTargetConfig
from fakes.relay import Asked, Relay
from replicator.config.loading import load_config
from sandbox.aws import AwsServer
from sandbox.cosmos import CosmosServer
from sandbox.functions import Function, FunctionsServer
from sandbox.processes import replicator_program
from sandbox.servicebus import QueueSettings, ServiceBusServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from replicator.config.models import MigrationConfig
    from sandbox.azurite import Azurite

CODE = io.BytesIO()
with zipfile.ZipFile(CODE, "w") as archive:
    archive.writestr("handler.py", "def handler(event, context): return {}")

SECRET = "hunter2-and-more"

SERVICES = ("lambda", "iam", "events", "scheduler", "s3", "sqs", "dynamodb")

BLANKS = {
    "COSMOS_ENDPOINT": "https://shop.documents.azure.com:443/",
    "COSMOS_DATABASE": "shop",
    "BLOB_ENDPOINT": "https://shop.blob.core.windows.net",
    "SERVICEBUS_NAMESPACE": "shop.servicebus.windows.net",
    "FUNCTION_APP_ID": "/subscriptions/S/resourceGroups/G/providers/Microsoft.Web/sites/shop",
}

ACCOUNT = "111122223333"
"""Of its own: twelve digits as an access key are an account of the local AWS."""


@asynccontextmanager
async def clients(aws: AwsServer) -> AsyncIterator[dict[str, Any]]:
    """Of every service that has something to do with functions."""
    session = AioSession()
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(
                session.create_client(
                    name,
                    endpoint_url=aws.endpoint,
                    region_name=aws.region,
                    aws_access_key_id=ACCOUNT,
                    aws_secret_access_key="test",
                )
            )
            for name in SERVICES
        }


@pytest.fixture
async def shop(aws: AwsServer) -> AsyncIterator[dict[str, Any]]:
    """A function with a table, two queues and their dead-letter queue, a bucket, a rule and a schedule."""
    async with clients(aws) as made:
        table = await made["dynamodb"].create_table(
            TableName="Orders_v2",
            KeySchema=[
                {"AttributeName": "customer", "KeyType": "HASH"},
                {"AttributeName": "order_id", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("customer", "order_id")],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        await made["dynamodb"].create_table(
            TableName="carts",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        queues = {}
        for name, attributes in (
            ("payments-dead.fifo", {"FifoQueue": "true"}),
            ("payments.fifo", {"FifoQueue": "true"}),
            ("emails", {}),
            ("media-events", {}),
            ("unrelated", {}),
        ):
            url = (await made["sqs"].create_queue(QueueName=name, Attributes=attributes))["QueueUrl"]
            queues[name] = f"arn:aws:sqs:{aws.region}:{ACCOUNT}:{name}"
            if name == "payments.fifo":
                redrive = {"deadLetterTargetArn": queues["payments-dead.fifo"], "maxReceiveCount": 5}
                await made["sqs"].set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(redrive)})
            if name == "emails":
                emails = url
        await made["s3"].create_bucket(Bucket="init.media")
        await _role(made, aws.region, queues["emails"])
        function = await made["lambda"].create_function(
            FunctionName="onOrder",
            Runtime="python3.12",
            Role=f"arn:aws:iam::{ACCOUNT}:role/app/shop",
            Handler="handler.handler",
            Code={"ZipFile": CODE.getvalue()},
            Environment={
                "Variables": {"CARTS": "carts", "MAIL": emails, "DB_PASSWORD": SECRET, "REDIS_URL": f"redis://{SECRET}"}
            },
            VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
        )
        arn = function["FunctionArn"]
        stream = table["TableDescription"]["LatestStreamArn"]
        mapping = await made["lambda"].create_event_source_mapping(
            FunctionName="onOrder", EventSourceArn=stream, StartingPosition="LATEST"
        )
        await made["lambda"].create_event_source_mapping(FunctionName="onOrder", EventSourceArn=queues["payments.fifo"])
        await made["events"].put_rule(Name="nightly", ScheduleExpression="rate(1 day)")
        await made["events"].put_targets(Rule="nightly", Targets=[{"Id": "1", "Arn": arn}])
        await made["scheduler"].create_schedule(
            Name="weekly",
            ScheduleExpression="rate(7 days)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": arn, "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/scheduler"},
        )
        entry = {"Id": "to-lambda", "Events": ["s3:ObjectCreated:*"], "LambdaFunctionArn": arn}
        ours = {"Id": "replicator", "Events": ["s3:ObjectRemoved:*"], "QueueArn": queues["media-events"]}
        await made["s3"].put_bucket_notification_configuration(
            Bucket="init.media",
            NotificationConfiguration={"LambdaFunctionConfigurations": [entry], "QueueConfigurations": [ours]},
        )
        yield {"uuid": mapping["UUID"], **made}
        await aws.reset()


async def _role(made: dict[str, Any], region: str, queue: str) -> None:
    """With one inline and one attached policy."""
    await made["iam"].create_role(
        RoleName="shop", Path="/app/", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []})
    )
    inline = [
        {"Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": queue},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::init.*/*"},
        {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue", "logs:PutLogEvents"], "Resource": "*"},
    ]
    await made["iam"].put_role_policy(
        RoleName="shop", PolicyName="inline", PolicyDocument=json.dumps({"Statement": inline})
    )
    table = f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/carts"
    policy = await made["iam"].create_policy(
        PolicyName="carts",
        PolicyDocument=json.dumps(
            {"Statement": {"Effect": "Allow", "Action": ["dynamodb:PutItem"], "Resource": [table, f"{table}/index/*"]}}
        ),
    )
    await made["iam"].attach_role_policy(RoleName="shop", PolicyArn=policy["Policy"]["Arn"])


async def init(relay: Relay, folder: Path, *options: str, expect: int = 0) -> str:
    """What the real program prints."""
    environment = {
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": AwsServer.region,
    }
    log = folder / "init.log"
    log.unlink(missing_ok=True)
    arguments = ("--aws-endpoint", relay.endpoint, "--out", str(folder / "out"), *options)
    async with replicator_program(log, "init", *arguments, environment=environment) as program:
        assert await program.wait(60) == expect, program.text()
        return program.text()


READS = re.compile(r"(List|Get|Describe)\w+$")


def changing(relay: Relay) -> list[Asked]:
    """What was asked that is no read by its name, or by its method where it has none."""
    return [a for a in relay.asked if not (READS.match(a.action) if a.action else a.method in {"GET", "HEAD"})]


def loaded(folder: Path) -> MigrationConfig:
    """The config with its blanks set."""
    path = folder / "out" / "config.yaml"
    blanks = dict.fromkeys(re.findall(r"\$\{(TWIN_\w+)\}", path.read_text()), "twin") | BLANKS
    return load_config(path, registry(), blanks)


def assert_the_rest_is_told_by_name(out: Path) -> None:
    """What no pipeline carries."""
    left = (out / "not-covered.md").read_text()
    for line in (
        "- secretsmanager: policy inline of role shop allows secretsmanager:GetSecretValue",
        r"- policy inline of role shop allows s3:GetObject on arn:aws:s3:::init.\*/\*: buckets that match: init.media",
        r"- DB\_PASSWORD of onOrder: looks like a secret",
        r"- REDIS\_URL of onOrder: looks like a cache",
        "- onOrder: runs in VPC subnets subnet-1",
    ):
        assert line in left, left
    assert "logs" not in left


def assert_the_policies_name_these_resources_and_no_others(out: Path, prefix: str) -> None:
    """Beside what knows no resources."""
    policy = json.loads((out / "aws-policy.json").read_text())
    by_name = {statement["Sid"]: set(statement["Resource"]) for statement in policy["Statement"]}
    assert by_name["ReadTables"] == {f"arn:aws:dynamodb:{prefix}:table/{name}" for name in ("Orders_v2", "carts")}
    assert by_name["TakeMessages"] == {
        f"arn:aws:sqs:{prefix}:{name}" for name in ("payments.fifo", "payments-dead.fifo", "emails", "media-events")
    }
    assert by_name["SwitchNotifications"] == {"arn:aws:s3:::init.media"}
    assert by_name["PassRolesOfSchedules"] == {f"arn:aws:iam::{ACCOUNT}:role/scheduler"}
    assert len(by_name["SwitchMappings"]) == 2
    assert [name for name, resources in by_name.items() if "*" in resources] == ["KnowConsumersAndRates"]
    assert "/containers/init-media" in (out / "azure-roles.sh").read_text()


async def test_a_function_becomes_a_valid_config_with_a_reason_for_each_thing(
    aws: AwsServer, shop: dict[str, Any], tmp_path: Path
) -> None:
    """Secrets nowhere, least policies, nothing changed."""
    async with Relay(aws.endpoint) as relay:
        said = await init(relay, tmp_path, "--function", "onOrder", "--json")
        again = await init(relay, tmp_path, "--function", "onOrder", expect=2)
        await init(relay, tmp_path, "--function", "onOrder", "--force")
        assert changing(relay) == []
        assert {a.status for a in relay.asked} <= {200, 404}
    assert "are not overwritten" in again
    summary = json.loads(said.splitlines()[-1])
    assert [summary[kind] for kind in ("tables", "buckets", "queues", "triggers")] == [2, 1, 3, 5]
    config = loaded(tmp_path)
    sources = {name: pipeline.source for name, pipeline in config.pipelines.items()}
    assert {name: source.type for name, source in sources.items()} == {
        "orders-v2": "dynamodb", "carts": "dynamodb", "init-media": "s3",
        "payments": "sqs", "payments-dead": "sqs", "emails": "sqs",
    }  # fmt: skip
    assert {source.consume for source in sources.values() if isinstance(source, SqsSourceConfig)} == {"hold"}
    target = config.pipelines["orders-v2"].target
    assert isinstance(target, CosmosTargetConfig)
    assert (target.partition_key, target.id) == (("/customer",), ("customer", "order_id"))
    assert {t.aws.type: t.pipeline for t in config.triggers.values() if t.aws} == {
        "event_source_mapping": "payments", "s3_notification": "init-media", "rule": None, "schedule": None,
    }  # fmt: skip
    text = (tmp_path / "out" / "config.yaml").read_text()
    for reason in (
        f"# event source mapping {shop['uuid']} of onOrder",
        "# environment variable CARTS of onOrder",
        "# policy carts attached to role shop allows dynamodb:PutItem",
        "# policy inline of role shop allows sqs:SendMessage",
        "# dead-letter queue of payments.fifo",
        "# its stream is off, and replicator turns on nothing",
        "# a FIFO queue",
    ):
        assert reason in text, reason
    for file in summary["files"]:
        assert SECRET not in (tmp_path / "out" / file).read_text()
    assert SECRET not in said
    assert_the_rest_is_told_by_name(tmp_path / "out")
    assert_the_policies_name_these_resources_and_no_others(tmp_path / "out", f"{aws.region}:{ACCOUNT}")


async def test_a_read_that_is_not_permitted_is_told_and_ends_nothing(
    aws: AwsServer, shop: dict[str, Any], tmp_path: Path
) -> None:
    denied = {"ListTables", "ListRolePolicies", "GetPolicy", "ListEventBuses"}

    def judge(method: str, path: str, action: str) -> bool:
        return action in denied or path.endswith("/schedules")

    async with Relay(aws.endpoint, judge) as relay:
        said = await init(relay, tmp_path, "--function", "onOrder")
    left = (tmp_path / "out" / "not-covered.md").read_text()
    for permission in (
        "dynamodb:ListTables",
        "iam:ListRolePolicies",
        "iam:GetPolicy",
        "scheduler:ListSchedules",
        "events:ListEventBuses",
    ):
        assert f"{permission} is not permitted" in left
        assert f"{permission} is not permitted" in said
    assert "orders-v2" in loaded(tmp_path).pipelines, "what a mapping names is known all the same"


async def test_a_function_that_there_is_not_is_told_with_what_to_do(aws: AwsServer, tmp_path: Path) -> None:
    async with Relay(aws.endpoint) as relay:
        said = await init(relay, tmp_path, "--function", "nope", expect=2)
    assert "--function nope: there is no such function. Check its name, --region" in said
    assert not (tmp_path / "out").exists()


@asynccontextmanager
async def relayed(*targets: str) -> AsyncIterator[list[Relay]]:
    """A relay before each."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Relay(target)) for target in targets]


def accepted(relay: Relay) -> list[Asked]:
    """What might have changed something and was not refused. Whether one may write is tried with what cannot be."""
    asked = [a for a in relay.asked if a.method not in {"GET", "HEAD"} and a.status < 400]
    return [a for a in asked if a.action != "Query" and not a.path.endswith("/config/appsettings/list")]


async def plan(folder: Path, environment: dict[str, str], *options: str, expect: int = 0) -> str:
    """What the real program prints of the config that was written."""
    log = folder / "plan.log"
    log.unlink(missing_ok=True)
    arguments = (str(folder / "out" / "config.yaml"), *options)
    async with replicator_program(log, "plan", *arguments, environment=environment) as program:
        assert await program.wait(60) == expect, program.text()
        return program.text()


@asynccontextmanager
async def some_targets(cosmos: CosmosServer, azurite: Azurite) -> AsyncIterator[ContainerClient]:
    """A part of what the config needs; the container of blobs, which is deleted in the end."""
    async with CosmosClient(cosmos.endpoint, cosmos.key, enable_endpoint_discovery=False) as client:
        database = await client.create_database("shop")
        await database.create_container("Orders_v2", PartitionKey("/customer"), default_ttl=-1)
        await database.create_container("replicator", PartitionKey("/id"))
    async with ContainerClient.from_connection_string(azurite.connection_string, "init-media") as container:
        await container.create_container()
        yield container
        await container.delete_container()


def fill(folder: Path, management: str, token: str) -> None:
    """What a person would write into the config: keys, and that what is missing may be made."""
    path = folder / "out" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    for pipeline in config["pipelines"].values():
        target = pipeline["target"]
        if target["type"] == "servicebus":
            del target["namespace"]
            target["connection_string"] = "${SERVICEBUS_CONNECTION}"
        else:
            target |= {"key": f"${{{target['type'].upper()}_KEY}}", "create": True}
    for trigger in config["triggers"].values():
        trigger["azure"] |= {"endpoint": management, "token": token, "function": "onOrder"}
    path.write_text(yaml.safe_dump(config, sort_keys=False))


async def test_the_config_that_was_written_passes_plan_which_changes_nothing(
    aws: AwsServer, azurite: Azurite, shop: dict[str, Any], tmp_path: Path
) -> None:
    """All that is asked of every service is a read, or is refused; what is left to the operator has its command."""
    sessions = QueueSettings(sessions=True)
    async with AsyncExitStack() as stack:
        cosmos = await stack.enter_async_context(CosmosServer())
        broker = await stack.enter_async_context(
            ServiceBusServer({"payments": sessions, "payments-dead": sessions, "emails": QueueSettings()})
        )
        functions = await stack.enter_async_context(FunctionsServer())
        functions.app("shop").functions = {"onOrder": Function()}
        relays = await stack.enter_async_context(
            relayed(aws.endpoint, cosmos.endpoint, azurite.endpoint.rpartition("/")[0], functions.endpoint)
        )
        at_aws, at_cosmos, at_blobs, at_functions = relays
        await init(at_aws, tmp_path, "--function", "onOrder")
        blobs = await stack.enter_async_context(some_targets(cosmos, azurite))
        fill(tmp_path, at_functions.endpoint, functions.token)
        at_aws.asked.clear()
        environment = {
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "test",
            "COSMOS_ENDPOINT": at_cosmos.endpoint,
            "COSMOS_KEY": cosmos.key,
            "COSMOS_DATABASE": "shop",
            "BLOB_ENDPOINT": f"{at_blobs.endpoint}/{azurite.account_name}",
            "BLOB_KEY": azurite.account_key,
            "SERVICEBUS_CONNECTION": broker.connection_string,
            "FUNCTION_APP_ID": functions.app_id("shop"),
        }
        said = await plan(tmp_path, environment, "--json")
        assert all(relay.asked for relay in relays), "nothing goes past them"
        assert changing(at_aws) == []
        assert [accepted(relay) for relay in relays[1:]] == [[], [], []]
        assert set(cosmos.stats()["items"].values()) == {0}, "both of the containers there were, and no others"
        assert [blob async for blob in blobs.list_blobs()] == []
        assert not (await blobs.get_container_properties()).metadata
        assert {queue["accepted"] for queue in broker.stats()["queues"].values()} == {0}
        assert functions.app("shop").starts == 0
        assert not (tmp_path / "out" / "replicator.sqlite").exists()
    assert_the_plan_tells_everything(json.loads(said.splitlines()[-1]))


def assert_the_plan_tells_everything(told: dict[str, Any]) -> None:
    """By when, for each kind of thing."""
    assert told["errors"] == []
    said = {when: [c for c in told["changes"] if c["when"] == when] for when in ("start", "running", "switch", "never")}
    for when, where, part in (
        ("start", "state", "positions, phases"),
        ("start", "pipelines.carts.target", "container carts of database shop is created"),
        ("never", "pipelines.orders-v2.target", "It exists, and so does replicator"),
        ("start", "pipelines.orders-v2.target", "the marker is written, which claims the target"),
        ("start", "pipelines.init-media.target", "container replicator is created"),
        ("start", "pipelines.init-media.target", "its metadata gets the entry replicator_incarnation"),
        ("running", "pipelines.orders-v2.source", "is only read"),
        ("running", "pipelines.orders-v2.target", "the marker is replaced every 10 s"),
        ("running", "pipelines.emails.source", "is held: only its counts are read"),
        ("switch", "pipelines.emails.source", "received, kept invisible to others meanwhile, and deleted"),
        ("switch", "triggers.onorder-nightly.aws", "cordon: on -> off"),
        ("switch", "triggers.onorder-nightly.azure", "activate: on, stays so"),
        ("switch", "state", "replication ends for good"),
        ("never", "pipelines.carts.source.table", "the stream of table carts is off"),
        ("running", "pipelines.init-media.source", "queue media-events: notifications are received"),
        ("never", "pipelines.init-media.source", "not notified to queue media-events: s3:ObjectCreated:*"),
        ("never", "pipelines.init-media.source", "already goes elsewhere, and S3 notifies one place only"),
    ):
        texts = [f"{c['text']} {c['fix']}" for c in said[when] if c["where"] == where]
        assert any(part in text for text in texts), (when, where, part, texts)
    (stream,) = [c for c in said["never"] if c["where"] == "pipelines.carts.source.table"]
    assert "aws dynamodb update-table --table-name carts" in stream["fix"]


async def test_a_plan_tells_what_it_can_where_a_side_cannot_be_reached(
    aws: AwsServer, shop: dict[str, Any], tmp_path: Path
) -> None:
    async with Relay(aws.endpoint) as relay:
        await init(relay, tmp_path, "--function", "onOrder")
        path = tmp_path / "out" / "config.yaml"
        config = yaml.safe_load(path.read_text())
        config["pipelines"] = {"carts": config["pipelines"]["carts"]}
        del config["triggers"]
        path.write_text(yaml.safe_dump(config))
        closed = {"COSMOS_ENDPOINT": "http://127.0.0.1:1", "COSMOS_DATABASE": "shop"}
        credentials = {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "test"}
        said = await plan(tmp_path, closed | credentials, expect=2)
    headings = [line.partition(":")[0] for line in said.splitlines() if line[0].isupper()]
    assert headings == ["At the start", "While it runs", "At the switch", "Never"]
    assert "  state: replication ends for good" in said
    assert "\nerror    pipelines.carts" in said
    assert said.endswith("1 error: not all of it can be told\n")
