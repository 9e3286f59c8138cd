"""Which tables are migrated, and what must be waited for after a write to them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from replicator.client.writes import Written, key_of

MOST_KEYS = 25
"""In one request: no larger than the daemon takes, whatever the keys are."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """A table that a pipeline replicates. `region` is empty where the pipeline's config does not say it."""

    pipeline: str
    table: str
    key_names: tuple[str, ...]
    region: str = ""

    def is_meant_by(self, name: str | None, region: str) -> bool:
        """Whether a request in that region, which calls its table by name or ARN, may be to this one."""
        if name is None:
            return self._is_in(region)
        if name.startswith("arn:"):
            where, _, table = name.partition(":table/")
            return table == self.table and self._is_in(where.split(":")[3])
        return name == self.table and self._is_in(region)

    def _is_in(self, region: str) -> bool:
        return not self.region or not region or region == self.region


@dataclass(frozen=True, slots=True)
class Wait:
    """One request to a barrier: for these keys, or for everything without any."""

    pipeline: str
    keys: tuple[str, ...]


def migrated(listing: Mapping[str, Any]) -> tuple[Migrated, ...]:
    """The tables among a daemon's pipelines that can be waited for."""
    return tuple(
        Migrated(pipeline["name"], pipeline["source"][2], tuple(pipeline["key_names"]), pipeline["source"][1])
        for pipeline in listing["pipelines"]
        if pipeline["type"] == "dynamodb" and pipeline["mode"] != "copy"
    )


def waits(tables: Iterable[Migrated], writes: Iterable[Written], region: str) -> list[Wait]:
    """What must be asked of the barriers, each key once."""
    tables, everything, keys = tuple(tables), dict[str, None](), dict[str, dict[str, None]]()
    for write in writes:
        for table in tables:
            if not table.is_meant_by(write.table, region):
                continue
            if write.attributes is None:
                everything[table.pipeline] = None
            else:
                keys.setdefault(table.pipeline, {})[key_of(write.attributes, table.key_names)] = None
    found = [Wait(pipeline, ()) for pipeline in everything]
    for pipeline, of in keys.items():
        if pipeline not in everything:
            texts = list(of)
            found += [Wait(pipeline, tuple(texts[i : i + MOST_KEYS])) for i in range(0, len(texts), MOST_KEYS)]
    return found
