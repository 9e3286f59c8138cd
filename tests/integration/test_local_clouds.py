"""What is promised of the local clouds together: each is there for the SDK that it is for, and nothing is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiobotocore.session import AioSession
from azure.cosmos.aio import CosmosClient
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.aio.management import ServiceBusAdministrationClient
from azure.storage.blob.aio import BlobServiceClient

from fakes.servicebus import receive, text
from replicator.cli.sandbox import LocalClouds, local_clouds
from replicator.cli.services import Service

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.embedded("aws", "how its process starts and ends")


async def test_every_service_serves_its_sdk(tmp_path: Path, hurried: None) -> None:
    progress: list[str] = []
    async with local_clouds(tmp_path, say=progress.append) as clouds:
        assert sorted(line.partition(" is up")[0] for line in progress) == sorted(clouds.addresses)
        await _use_aws(clouds)
        async with CosmosClient(clouds.cosmos_endpoint, clouds.cosmos_key) as cosmos:
            await cosmos.create_database("shop")
        async with BlobServiceClient(clouds.blob_endpoint, clouds.blob_key) as blobs:
            await (await blobs.create_container("photos")).upload_blob("a/b", b"content")
        async with BlobServiceClient.from_connection_string(clouds.blob_connection_string) as blobs:
            assert [one["name"] async for one in blobs.list_containers()] == ["photos"]
        assert (tmp_path / "azurite" / "__blobstorage__").is_dir()
        await _use_servicebus(clouds)
        assert clouds.servicebus_certificate == str(tmp_path / "servicebus-certificate.pem")
        assert "PRIVATE" not in (tmp_path / "servicebus-certificate.pem").read_text()
    assert not (tmp_path / "azurite").exists()
    assert sorted(left.name for left in listed(tmp_path)) == [
        "azurite.log", "cosmos.log", "servicebus-certificate.pem", "servicebus.log",
    ]  # fmt: skip


async def test_it_can_be_had_again_in_the_same_folder(tmp_path: Path) -> None:
    """What an earlier one has said there, and left there, is not taken for its own."""
    (tmp_path / "azurite").mkdir()
    (tmp_path / "azurite" / "__azurite_db_blob__.json").write_text("left by one that was killed")
    for _ in range(2):
        async with local_clouds(tmp_path, without={Service.AWS, Service.COSMOS}) as clouds:
            assert clouds.aws.pid is None
            assert clouds.cosmos_endpoint == ""
            assert set(clouds.environment) == {
                "BLOB_KEY", "AZURE_STORAGE_CONNECTION_STRING", "SERVICEBUS_CONNECTION_STRING",
                "SERVICEBUS_MANAGEMENT_CONNECTION_STRING", "SERVICEBUS_CERTIFICATE", "no_proxy",
            }  # fmt: skip
            async with BlobServiceClient(clouds.blob_endpoint, clouds.blob_key, retry_total=0) as blobs:
                await blobs.create_container("photos")
            async with ServiceBusAdministrationClient.from_connection_string(
                clouds.servicebus_management_connection_string, connection_verify=clouds.servicebus_certificate
            ) as administration:
                await administration.create_queue("orders")


def listed(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def _use_aws(clouds: LocalClouds) -> None:
    session = AioSession()
    names = {"s3": "list_buckets", "sqs": "list_queues", "sns": "list_topics", "events": "list_event_buses"}
    for service, operation in names.items():
        async with session.create_client(
            service,
            endpoint_url=clouds.aws.endpoint,
            region_name=clouds.aws.region,
            aws_access_key_id=clouds.aws.access_key,
            aws_secret_access_key=clouds.aws.secret_key,
        ) as client:
            assert (await getattr(client, operation)())["ResponseMetadata"]["HTTPStatusCode"] == 200


async def _use_servicebus(clouds: LocalClouds) -> None:
    async with ServiceBusAdministrationClient.from_connection_string(
        clouds.servicebus_management_connection_string, connection_verify=clouds.servicebus_certificate
    ) as administration:
        await administration.create_queue("orders")
    async with ServiceBusClient.from_connection_string(clouds.servicebus_connection_string) as bus:
        async with bus.get_queue_sender("orders") as sender:
            await sender.send_messages(ServiceBusMessage("hello"))
        async with bus.get_queue_receiver("orders") as receiver:
            assert [text(message) for message in await receive(receiver)] == ["hello"]
