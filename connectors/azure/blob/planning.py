"""What is written to an account beside objects and marker. Pure."""

from connectors.azure.blob.config import BlobTargetConfig
from connectors.azure.blob.containers import INCARNATION, Existing
from replicator.planning.model import Intended, When


def planned_of_blobs(config: BlobTargetConfig, existing: Existing) -> list[Intended]:
    """What is missing is made with `create: true` alone; otherwise connecting has refused already."""
    where = f"container {config.container}"
    found = ((config.container, existing.container), (config.marker_container, existing.marker))
    created = [Intended(When.START, f"container {name} is created") for name, there in found if there is None]
    noted = Intended(When.START, f"{where}: its metadata gets the entry {INCARNATION}")
    kept = f"{where}: nothing else of it or of the account is changed"
    under = f" under {config.prefix}" if config.prefix else ""
    return [
        *created,
        *([] if existing.incarnation else [noted]),
        Intended(When.RUNNING, f"{where}: blobs{under} are written, and deleted when their objects are"),
        *_foreign(config, under),
        Intended(When.NEVER, kept if created else f"{kept}. It exists, and so does {config.marker_container}"),
    ]


def _foreign(config: BlobTargetConfig, under: str) -> list[Intended]:
    if config.foreign == "keep":
        return []
    text = f"container {config.container}: blobs{under} that replicator did not write are deleted by comparisons"
    return [Intended(When.RUNNING, text)]
