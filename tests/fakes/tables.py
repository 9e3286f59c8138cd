"""The `dynamodb` calls the connector makes, over the same ground truth as the stream's."""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from fakes.streams import (
    KEY_NAME,
    STREAM_ARN,
    TABLE_NAME,
    Answer,
    Fault,
    ServiceClient,
    StreamedTable,
    client_error,
    no_fault,
)

MOST_KEYS = 100


class TableClient(ServiceClient):
    """`description` and `expiry` may be changed; each page of a scan and each item looked up costs `page_units`."""

    def __init__(
        self,
        table: StreamedTable,
        *,
        page: int = 3,
        page_units: float = 1.0,
        latency_s: float = 0.0,
        fault: Fault = no_fault,
    ) -> None:
        super().__init__(table, latency_s=latency_s, fault=fault)
        self.page = page
        self.page_units = page_units
        self.most_processed = MOST_KEYS
        self.expiry: Answer = {"TimeToLiveStatus": "DISABLED"}
        self.description: Answer = {
            "TableName": TABLE_NAME,
            "TableStatus": "ACTIVE",
            "KeySchema": [{"AttributeName": KEY_NAME, "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": KEY_NAME, "AttributeType": "S"}],
            "ProvisionedThroughput": {"ReadCapacityUnits": 400},
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
            "LatestStreamArn": STREAM_ARN,
            "ItemCount": 7,
            "TableSizeBytes": 700,
        }

    async def describe_table(self, **parameters: Any) -> Answer:
        return await self._answer("describe_table", self._describe, parameters)

    async def describe_time_to_live(self, **parameters: Any) -> Answer:
        return await self._answer(
            "describe_time_to_live", lambda _: {"TimeToLiveDescription": dict(self.expiry)}, parameters
        )

    async def scan(self, **parameters: Any) -> Answer:
        return await self._answer("scan", self._scan, parameters)

    async def batch_get_item(self, **parameters: Any) -> Answer:
        return await self._answer("batch_get_item", self._get, parameters)

    def _describe(self, parameters: Mapping[str, Any]) -> Answer:
        if parameters["TableName"] != TABLE_NAME:
            raise client_error("describe_table", "ResourceNotFoundException")
        return {"Table": dict(self.description)}

    def _scan(self, parameters: Mapping[str, Any]) -> Answer:
        segment, segments = parameters.get("Segment", 0), parameters.get("TotalSegments", 1)
        after = parameters.get("ExclusiveStartKey", {}).get(KEY_NAME, {}).get("S", "")
        names = sorted(n for n in self.table.rows if crc32(n.encode()) % segments == segment and n > after)
        page = names[: min(self.page, parameters.get("Limit", self.page))]
        last = {"LastEvaluatedKey": {KEY_NAME: {"S": page[-1]}}} if len(page) < len(names) else {}
        items = [self.table.rows[name] for name in page]
        return {"Items": items, "ConsumedCapacity": {"CapacityUnits": self.page_units}, **last}

    def _get(self, parameters: Mapping[str, Any]) -> Answer:
        ((name, request),) = parameters["RequestItems"].items()
        keys = [key[KEY_NAME]["S"] for key in request["Keys"]]
        if not 1 <= len(keys) <= MOST_KEYS or len(set(keys)) < len(keys) or request["ConsistentRead"] is not True:
            raise client_error("batch_get_item", "ValidationException")
        now, left = request["Keys"][: self.most_processed], request["Keys"][self.most_processed :]
        items = [self.table.rows[k[KEY_NAME]["S"]] for k in now if k[KEY_NAME]["S"] in self.table.rows]
        return {
            "Responses": {name: items},
            "UnprocessedKeys": {name: {**request, "Keys": left}} if left else {},
            "ConsumedCapacity": [{"TableName": name, "CapacityUnits": self.page_units * len(now)}],
        }
