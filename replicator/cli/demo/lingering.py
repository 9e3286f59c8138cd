"""How to look at what the demo leaves running."""

import signal

import anyio

from replicator.cli.invocation import own_command
from replicator.cli.sandbox import LocalClouds
from replicator.cli.views import View


async def linger(clouds: LocalClouds, url: str, view: View) -> None:
    """Until SIGINT or SIGTERM."""
    view.say("left running until interrupted; to look at it:")
    for line in ways_to_look(clouds, url):
        view.say(f"  {line}")
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            return


def ways_to_look(clouds: LocalClouds, url: str) -> list[str]:
    """Commands that work in another shell as they are, and where the targets are."""
    variables = " ".join(f"{name}={value}" for name, value in clouds.aws.environment.items())
    endpoint = f"--endpoint-url {clouds.aws.endpoint}"
    return [
        f"{own_command()} status --watch --url {url}",
        f"{variables} aws dynamodb scan --table-name orders {endpoint}",
        f"{variables} aws s3api list-objects-v2 --bucket documents {endpoint}",
        f"{variables} aws sqs list-queues {endpoint}",
        f"curl {clouds.servicebus_http_endpoint}_sandbox/stats",
        f"az storage blob list --container-name documents --connection-string '{clouds.blob_connection_string}'",
        f"Cosmos DB at {clouds.cosmos_endpoint}, database shop, container orders, key {clouds.cosmos_key}",
        f"Service Bus by {clouds.servicebus_connection_string}, queues payments and emails, emptied by comparing them",
    ]
