"""Promise: what deploy/terraform makes is what the daemon needs, seen at the local AWS after `terraform apply`.

It needs terraform, and its AWS provider in a folder that REPLICATOR_TERRAFORM_PLUGINS names, as `terraform providers
mirror` writes it: the tests fetch nothing.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest

from connectors.aws.permissions import Needed, policy
from sandbox.aws import AwsServer

SOURCE = Path(__file__).parents[2] / "deploy" / "terraform"

PROVIDER = """
provider "aws" {
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
}
"""
"""Of the local AWS; its address is in the environment."""

ISSUER = "https://issuer.example.com/cluster/"

VARIABLES: dict[str, Any] = {
    "tables": ["tf-orders", "tf-carts"],
    "turn_on_streams": ["tf-carts"] if shutil.which("aws") else [],
    "buckets": {"tf-media": {"notifications": "tf-media-events"}, "tf-listed": {}},
    "queues": ["tf-jobs"],
    "keys": ["arn:aws:kms:us-east-1:000000000000:key/0"],
    "switched": {"schedule": ["arn:aws:scheduler:us-east-1:000000000000:schedule/default/nightly"]},
    "roles_of_schedules": ["arn:aws:iam::000000000000:role/nightly"],
    "web_identity": {"issuer": ISSUER},
}


class Terraform:
    """A copy of the folder, and the program with the local AWS in its environment."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment

    def __call__(self, *arguments: str) -> str:
        command = ["terraform", f"-chdir={self._folder}", *arguments]
        done = subprocess.run(command, check=False, env=self._environment, capture_output=True, text=True)  # noqa: S603 -- constant arguments
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def terraform(aws: AwsServer, tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """Initialised, with the variables above; nothing is applied yet."""
    plugins = os.environ.get("REPLICATOR_TERRAFORM_PLUGINS")
    if shutil.which("terraform") is None or plugins is None:
        pytest.skip("terraform, or REPLICATOR_TERRAFORM_PLUGINS, is not there: deploy/terraform was not applied")
    folder = tmp_path_factory.mktemp("terraform") / "aws"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    (folder / "provider.tf").write_text(PROVIDER)
    (folder / "test.auto.tfvars.json").write_text(json.dumps(VARIABLES))
    rest = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    run = Terraform(folder, rest | aws.environment | {"AWS_ENDPOINT_URL": aws.endpoint, "CHECKPOINT_DISABLE": "1"})
    run("init", "-input=false", "-no-color", f"-plugin-dir={plugins}")
    return run


@pytest.fixture(scope="module")
def applied(terraform: Terraform, aws: AwsServer) -> Iterator[dict[str, Any]]:
    """The outputs, by name. What is to be replicated is there before."""
    anyio.run(_existing, aws)
    terraform("apply", "-auto-approve", "-input=false", "-no-color")
    yield {name: output["value"] for name, output in json.loads(terraform("output", "-json")).items()}
    terraform("destroy", "-auto-approve", "-input=false", "-no-color")


async def _existing(aws: AwsServer) -> None:
    async with aws.client("dynamodb") as dynamodb, aws.client("s3") as s3:
        for name in VARIABLES["tables"]:
            await dynamodb.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        for name in ("tf-media", "tf-listed"):
            await s3.create_bucket(Bucket=name)


def test_it_is_valid(terraform: Terraform) -> None:
    assert json.loads(terraform("validate", "-json"))["diagnostics"] == []


def test_the_policy_is_what_the_connectors_need(applied: dict[str, Any]) -> None:
    """The order of its statements aside."""
    needed = Needed(
        tables=[f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}" for name in VARIABLES["tables"]],
        buckets=["arn:aws:s3:::tf-media", "arn:aws:s3:::tf-listed"],
        taken=["arn:aws:sqs:us-east-1:000000000000:tf-jobs", "arn:aws:sqs:us-east-1:000000000000:tf-media-events"],
        keys=["arn:aws:kms:us-east-1:000000000000:key/0"],
        switched={"schedule": ["arn:aws:scheduler:us-east-1:000000000000:schedule/default/nightly"]},
        roles=["arn:aws:iam::000000000000:role/nightly"],
    )
    made = json.loads(applied["policy"])
    assert by_name(made) == by_name(policy(needed))


def by_name(document: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(document["Statement"], key=lambda statement: str(statement["Sid"]))


async def test_only_the_account_of_the_daemon_may_take_the_role(
    applied: dict[str, Any], aws_client: Callable[..., AbstractAsyncContextManager[Any]]
) -> None:
    async with aws_client("iam") as iam:
        role = (await iam.get_role(RoleName="replicator"))["Role"]
        attached = await iam.list_attached_role_policies(RoleName="replicator")
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert role["Arn"] == applied["role_arn"]
    assert [p["PolicyArn"] for p in attached["AttachedPolicies"]] == [applied["policy_arn"]]
    assert statement["Condition"] == {
        "StringEquals": {
            "issuer.example.com/cluster/:sub": "system:serviceaccount:replicator:replicator",
            "issuer.example.com/cluster/:aud": "sts.amazonaws.com",
        }
    }


async def test_an_event_of_the_bucket_reaches_the_queue(
    applied: dict[str, Any], aws_client: Callable[..., AbstractAsyncContextManager[Any]]
) -> None:
    assert set(applied["notification_queues"]) == {"tf-media"}
    async with aws_client("s3") as s3, aws_client("sqs") as sqs:
        await s3.put_object(Bucket="tf-media", Key="a", Body=b"a")
        url = (await sqs.get_queue_url(QueueName="tf-media-events"))["QueueUrl"]
        told = await sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10, MaxNumberOfMessages=10)
    assert [m for m in told["Messages"] if "ObjectCreated:Put" in m["Body"]]


async def test_a_stream_is_turned_on_where_that_was_asked_for_and_nowhere_else(
    applied: dict[str, Any], aws_client: Callable[..., AbstractAsyncContextManager[Any]]
) -> None:
    if not VARIABLES["turn_on_streams"]:
        pytest.skip("the AWS CLI is not there, by which streams are turned on")
    async with aws_client("dynamodb") as dynamodb:
        tables = [(await dynamodb.describe_table(TableName=name))["Table"] for name in VARIABLES["tables"]]
    on = {table["TableName"]: table["StreamSpecification"] for table in tables if "StreamSpecification" in table}
    assert on == {"tf-carts": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}}
