"""The table every workload writes to."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from sandbox.workload.calls import Backoff

if TYPE_CHECKING:
    from sandbox.workload.calls import DynamoDb

ACTIVE_WITHIN_S = 60.0


async def create_orders_table(
    client: DynamoDb, name: str, *, stream: bool = True, ttl_attribute: str | None = None
) -> str | None:
    """Create `name` with hash key `customer` and sort key `order_id`, on demand; the stream's ARN, if it has one.

    Returns once the table is active. Raises WorkloadError if that takes too long, botocore's ClientError if the
    table exists.
    """
    parameters: dict[str, object] = {
        "TableName": name,
        "KeySchema": [
            {"AttributeName": "customer", "KeyType": "HASH"},
            {"AttributeName": "order_id", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "customer", "AttributeType": "S"},
            {"AttributeName": "order_id", "AttributeType": "S"},
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if stream:
        parameters["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    await client.create_table(**parameters)
    arn = await _stream_once_active(client, name)
    if ttl_attribute:
        expiry = {"Enabled": True, "AttributeName": ttl_attribute}
        await client.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)
    return arn


async def _stream_once_active(client: DynamoDb, name: str) -> str | None:
    backoff = Backoff(random.Random(0), ACTIVE_WITHIN_S)
    while True:
        table = (await client.describe_table(TableName=name))["Table"]
        if table["TableStatus"] == "ACTIVE":
            arn: str | None = table.get("LatestStreamArn")
            return arn
        await backoff.pause(f"creation of table {name}")
