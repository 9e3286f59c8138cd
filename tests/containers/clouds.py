"""Which local clouds can come from container images, which images those are, and who names others."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum


class Cloud(StrEnum):
    """A service that a test may reach in a container."""

    AWS = "aws"
    AZURITE = "azurite"
    COSMOS = "cosmos"
    SERVICEBUS = "servicebus"


@dataclass(frozen=True)
class Image:
    """An image; the environment may name another, such as one that was built here or lies in one's own registry."""

    variable: str
    default: str

    @property
    def name(self) -> str:
        return os.environ.get(self.variable) or self.default


AWS = Image("REPLICATOR_IMAGE_AWS", "ministackorg/ministack:1.5.33")
AZURITE = Image("REPLICATOR_IMAGE_AZURITE", "mcr.microsoft.com/azure-storage/azurite:3.37.0")
COSMOS = Image("REPLICATOR_IMAGE_COSMOS", "mcr.microsoft.com/cosmosdb/linux/azure-cosmos-emulator:vnext-preview")
SERVICEBUS = Image("REPLICATOR_IMAGE_SERVICEBUS", "mcr.microsoft.com/azure-messaging/servicebus-emulator:latest")
SERVICEBUS_SQL = Image("REPLICATOR_IMAGE_SERVICEBUS_SQL", "mcr.microsoft.com/mssql/server:2022-latest")
"""Where Microsoft's Service Bus emulator keeps its queues."""

IMAGES: dict[Cloud, tuple[Image, ...]] = {
    Cloud.AWS: (AWS,),
    Cloud.AZURITE: (AZURITE,),
    Cloud.COSMOS: (COSMOS,),
    Cloud.SERVICEBUS: (SERVICEBUS, SERVICEBUS_SQL),
}


def clouds_named(text: str) -> frozenset[Cloud]:
    """Names parted by commas, or `all`. Raises ValueError for one that there is not."""
    if text.strip() == "all":
        return frozenset(Cloud)
    return frozenset(Cloud(name.strip()) for name in text.split(",") if name.strip())
