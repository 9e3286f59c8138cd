"""The local services by name. Apart from what starts them, which needs the extra `sandbox`."""

from enum import StrEnum


class Service(StrEnum):
    """What may be left out. One process serves all of AWS."""

    AWS = "aws"
    COSMOS = "cosmos"
    BLOB = "blob"
    SERVICEBUS = "servicebus"
