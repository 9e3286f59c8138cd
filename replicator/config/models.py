"""What a config file may say. Every field carries its unit, its default and what it is for."""

import ipaddress
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SecretStr,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MISTAKE = "mistake"


def mistake(problem: str, fix: str) -> PydanticCustomError:
    """For a validator that knows the fix; one that does not raises ValueError. Neither may hold the value."""
    return PydanticCustomError(MISTAKE, "{problem}. {fix}", {"problem": problem, "fix": fix})


@dataclass(frozen=True, slots=True)
class Form:
    """What all of a text must look like; `otherwise` is what is wrong with any other."""

    pattern: str
    otherwise: str

    def check(self, text: str) -> str:
        """The text as it is. Raises ValueError."""
        if re.fullmatch(self.pattern, text):
            return text
        raise ValueError(self.otherwise)

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": self.pattern}


Name = Annotated[
    str,
    Form(
        r"^[a-z0-9][a-z0-9-]{0,62}$",
        "is no name: lower-case letters, digits and hyphens, 63 at most, a letter or digit first",
    ),
]
"""Names become metric labels and parts of resource names: lower case letters, digits and hyphens."""


def _is_url(text: str) -> str:
    """What is wrong with it is not said: it may hold a password."""
    with suppress(ValueError):
        parts = urlsplit(text)
        host = (parts.hostname or "").encode("idna")
        if parts.scheme in {"http", "https"} and host and (parts.port is None or parts.port):
            return text
    raise ValueError("is no URL like https://host:port")


Url = Annotated[str, AfterValidator(_is_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
"""An address of a service or a proxy."""


class Frozen(BaseModel):
    """Base of every config model: unknown fields are refused, numbers are finite, nothing changes after parsing."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, fields: object) -> object:
        """Python would take `true` for 1; as a word it is refused as any other is."""
        if not isinstance(fields, dict):
            return fields
        numbers = {n for n, f in cls.model_fields.items() if {f.annotation, *get_args(f.annotation)} & {int, float}}
        return {name: str(v) if isinstance(v, bool) and name in numbers else v for name, v in fields.items()}


class EndpointConfig(Frozen):
    """How to reach a service on a private network."""

    proxy: Url | None = Field(default=None, description="URL of an HTTP proxy for this service. Default: none.")
    ca_bundle: Path | None = Field(
        default=None,
        description="PEM file with the only certificate authorities to trust, relative to the config file. "
        "Default: the system's for Azure, those that come with the SDK for AWS; see docs/configuration.md.",
    )


class SourceConfig(EndpointConfig):
    """Base of every source's config. `rehearsed` names the fields that decide what happens to records: a rehearsal
    counts for another config only where they are the same.
    """

    rehearsed: ClassVar[tuple[str, ...]] = ()

    type: str = Field(description="Names the connector.")

    @property
    def place(self) -> tuple[str, ...]:
        """What the source is, apart from how it is reached and read, so that sources of other pipelines know of it."""
        return ()


class TargetConfig(EndpointConfig):
    """Base of every target's config; `rehearsed` is as that of a source. `read_back` says, for people, how what is
    written there from an instant on is read by whoever replicates the other way.
    """

    read_back: ClassVar[str] = ""
    rehearsed: ClassVar[tuple[str, ...]] = ()

    type: str = Field(description="Names the connector.")
    max_concurrency: int = Field(
        default=64, ge=1, le=1000, description="Requests under way at once, at most. How many is found out by trying."
    )
    max_request_units: float | None = Field(
        default=None, gt=0, description="What all writes and reads may take from the target, in its units per second."
    )
    foreign: Literal["keep", "remove"] = Field(
        default="keep",
        description="What --adopt, and a comparison of all listings while following, does with records of the target "
        "that replicator did not write.",
    )

    @property
    def place(self) -> tuple[str, ...]:
        """What the target is, apart from how it is reached and written: no two pipelines may share it."""
        return ()


class StateConfig(Frozen):
    """Base of what the config says of where positions, phases and dead letters are kept."""

    type: str = Field(description="Names the kind of state store.")

    @property
    def place(self) -> str:
        """Which one it is, for people: the same for whoever uses the same one."""
        return self.type

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The URLs that are called, for `check`."""
        return ()

    @property
    def folder(self) -> Path:
        """Where files that belong to the migration go unless another place is named."""
        return Path()


class SqliteStateConfig(StateConfig):
    """One SQLite file."""

    type: Literal["sqlite"] = Field(default="sqlite", description="Names the kind of state store.")
    path: Path = Field(
        default=Path("replicator.sqlite"),
        description="SQLite file, on a disk that survives restarts; relative to the config file.",
    )

    @property
    def place(self) -> str:
        return str(self.path.absolute())

    @property
    def folder(self) -> Path:
        return self.path.parent


Address = Annotated[str, Form(r"^(\[[0-9a-fA-F:]+\]|[^:\[\]]+):\d{1,5}$", "must be host:port")]


class HttpConfig(Frozen):
    """The daemon's HTTP interface."""

    listen: Address = Field(
        default="127.0.0.1:8080",
        description="Address and port for health, metrics and status. Port 0 takes a free one.",
    )
    token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Bearer token of whoever may change something, 16 characters at least. Default: none, and such "
        "calls are accepted from the daemon's own machine only.",
    )


class ReplicasConfig(Frozen):
    """How several daemons of one migration work together: all have this config and one state store."""

    listen: Address = Field(
        default="127.0.0.1:0",
        description="Address and port where the replica that leads is reached by the others, encrypted. Port 0 takes a "
        "free one. On several hosts, name an address that they reach.",
    )
    advertise: str | None = Field(
        default=None,
        min_length=1,
        description="Host name or address by which the others reach this one. Default: the address it listens on or, "
        "where that stands for all, that of this machine's own name.",
    )

    @property
    def address(self) -> tuple[str, int]:
        """Where to listen, as host and port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def advertised(self) -> str:
        """By which host the others reach it."""
        host = self.address[0]
        if self.advertise is not None:
            return self.advertise
        return socket.gethostbyname(socket.gethostname()) if ipaddress.ip_address(host).is_unspecified else host


class LogConfig(Frozen):
    """What is written to standard error."""

    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="json for machines, console for people; auto is console on a terminal."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severity written.")


class DeadLettersConfig(Frozen):
    """What is kept of changes that could not be applied."""

    payloads: Literal["store", "reference", "none"] = Field(
        default="reference",
        description="store: what the record held, in the state store. reference: only what finds it at the source. "
        "none: nothing but key and reason.",
    )
    payload_ttl_s: float = Field(
        default=604_800.0,
        gt=0,
        description="What a record held is deleted from the state store so long after it was last refused, in seconds.",
    )
    max_payload_bytes: int = Field(
        default=65_536, ge=0, le=1_048_576, description="Larger ones are only referred to, in bytes of their JSON."
    )


class LimitsConfig(Frozen):
    """Times and sizes that keep every promise bounded. All in seconds unless named otherwise."""

    request_timeout_s: float = Field(
        default=5.0, gt=0, le=60, description="A request to a target without an answer is given up after this."
    )
    request_lifetime_s: float = Field(
        default=15.0,
        gt=0,
        le=600,
        description="A request that was given up may still take effect until this long after it was started. "
        "After a crash nothing is written for as long as such a request may live.",
    )
    lease_s: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="A daemon that has not renewed its lease for this long has lost it. Bounds the wait after a crash.",
    )
    drain_deadline_s: float = Field(
        default=25.0, gt=0, le=3600, description="After SIGTERM, what was read is finished within this, or dropped."
    )
    marker_interval_s: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="The target's marker moves on so often; bounds how old a store goes unnoticed.",
    )
    max_batches: int = Field(
        default=16,
        ge=2,
        le=1000,
        description="Batches (of up to about 1 MB each) in memory at once, per pipeline: half of them for copying.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.request_lifetime_s < self.request_timeout_s:
            raise ValueError("request_lifetime_s must be at least request_timeout_s")
        if self.lease_s < self.request_lifetime_s * 1.2 + 1:
            raise ValueError(
                "lease_s must be at least 1.2 * request_lifetime_s + 1, or no request could ever be started"
            )
        return self


class ProbeConfig(EndpointConfig):
    """A request as a client of the application sends it, which is repeated while a switch is under way."""

    url: Url = Field(description="Where the application takes writes; the address that its clients use.")
    method: Literal["GET", "POST", "PUT"] = Field(default="POST", description="Of the request.")
    body: str = Field(
        default="", max_length=65_536, description="What is sent with it, as application/json. Default: nothing."
    )
    token: SecretStr | None = Field(
        default=None, min_length=1, description="Bearer token; better by ${VARIABLE} than in the file. Default: none."
    )
    interval_s: float = Field(
        default=0.25, ge=0.05, le=60, description="From the beginning of one request to that of the next, in seconds."
    )
    timeout_s: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="One that is not answered by 200 to 299 within so many seconds has failed.",
    )


class RehearsalConfig(Frozen):
    """What is demanded of a rehearsal before the migration counts as ready."""

    max_age_days: float = Field(
        default=30.0, gt=0, le=3650, description="A rehearsal was sealed at most so many days ago."
    )
    waived: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        description="Why none is demanded, which is shown wherever readiness is. Default: one is demanded.",
    )
    is_rehearsal: bool = Field(
        default=False, description="Whether this migration is a rehearsal itself, of which none is demanded."
    )

    @model_validator(mode="after")
    def _one_reason(self) -> Self:
        if self.is_rehearsal and self.waived:
            raise mistake("is a rehearsal, of which none is demanded", "Leave waived out")
        return self


class CutoverConfig(Frozen):
    """What is demanded before the migration counts as ready to be cut over. All in seconds."""

    max_lag_s: float = Field(
        default=30.0, gt=0, description="The lag of a pipeline is at most this. A pipeline may have a limit of its own."
    )
    steady_s: float = Field(
        default=60.0,
        ge=0,
        description="And has been for so long, seen without a gap; for as long the target has refused nothing as too "
        "many, and no record was late.",
    )
    max_gap_s: float = Field(
        default=5.0,
        ge=2,
        le=60,
        description="What was seen this long ago is too old; a longer gap between two looks begins the steady period "
        "anew. The daemon looks every second.",
    )
    verification_max_age_s: float = Field(
        default=86400.0, gt=0, description="The last complete verification began at most so long ago."
    )
    foreign_max_age_s: float = Field(
        default=86400.0, gt=0, description="The last complete scan for foreign writes began at most so long ago."
    )
    min_retention_headroom_s: float = Field(
        default=3600.0, ge=0, description="Nothing unread is forgotten by its source within this."
    )
    probe: ProbeConfig | None = Field(
        default=None, description="What measures the pause that clients see during a switch. Default: nothing."
    )
    rehearsal: RehearsalConfig = Field(
        default=RehearsalConfig(), description="Whether the same was rehearsed elsewhere before."
    )


class PipelineCutoverConfig(Frozen):
    """What is demanded of one pipeline in particular."""

    max_lag_s: float | None = Field(
        default=None, gt=0, description="Its own limit of lag, in seconds. Default: cutover.max_lag_s."
    )
    waive: dict[Literal["verification", "foreign"], Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        default={},
        description="Checks that do not count for it, each with the reason, which is shown wherever readiness is.",
    )


class VerificationConfig(Frozen):
    """When and how fast both sides are compared."""

    continuous: bool = Field(
        default=True,
        description="Whether everything is compared again and again without being asked. replicator verify asks.",
    )
    interval_s: float = Field(
        default=86_400.0,
        gt=0,
        le=31_536_000,
        description="From the beginning of one round to that of the next, in seconds; no less than a round takes.",
    )
    records_per_s: float = Field(
        default=100.0,
        gt=0,
        le=100_000,
        description="How many records are compared per second, at most, also by rounds that were asked for. Reading "
        "them counts towards the source's read budget.",
    )


class SyncConfig(Frozen):
    """When a pipeline in mode sync is in sync."""

    max_lag_s: float = Field(
        default=15.0,
        gt=0,
        le=3600,
        description="It is no longer in sync when the target is so many seconds behind. An idle source proves time by "
        "margins: leave room for those.",
    )
    steady_s: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="It is in sync when for so many seconds nothing has spoken against that.",
    )


class PipelineConfig(Frozen):
    """One source into one target."""

    mode: Literal["async", "sync", "copy"] = Field(
        default="async",
        description="async: copy while following changes, changes of a key coalesced. sync: as async until caught up, "
        "then every change is applied, in order, and one that is refused stops its partition. copy: copy everything "
        "once and end; what changes meanwhile is not followed.",
    )
    sync: SyncConfig = Field(default=SyncConfig(), description="What counts as being in sync, in mode sync.")
    discover_interval_s: float = Field(
        default=15.0, gt=0, le=600, description="How often the source's partitions are listed, in seconds."
    )
    watch_interval_s: float = Field(
        default=60.0,
        gt=0,
        le=86400,
        description="How often the target is scanned for records that replicator did not write, in seconds.",
    )
    cutover: PipelineCutoverConfig = Field(
        default=PipelineCutoverConfig(), description="What is demanded of it before a cutover, where that differs."
    )
    verification: VerificationConfig = Field(
        default=VerificationConfig(), description="How both sides are compared while following."
    )
    source: SourceConfig = Field(description="Where changes come from.")
    target: TargetConfig = Field(description="Where changes go.")


class TriggerSideConfig(Frozen):
    """Base of what the config says of one side of an entry point."""

    type: str = Field(description="Names the kind of trigger.")


class TriggerConfig(Frozen):
    """An entry point: what triggers a function at AWS, what triggers its twin at Azure, what leads callers there."""

    pipeline: Name | None = Field(
        default=None,
        description="The pipeline whose target the Azure twin reads: while that is on, the pipeline is not ready. "
        "Default: none.",
    )
    aws: TriggerSideConfig | None = Field(default=None, description="What is turned off by a cordon. Default: nothing.")
    azure: TriggerSideConfig | None = Field(
        default=None, description="What is turned on when the other side is off. Default: nothing."
    )
    traffic: TriggerSideConfig | None = Field(
        default=None,
        description="What leads callers to Azure when it is turned on, after all Azure sides, and to AWS when it is "
        "turned off. Default: nothing.",
    )

    @model_validator(mode="after")
    def _has_a_side(self) -> Self:
        if self.aws is None and self.azure is None and self.traffic is None:
            raise mistake("has no side", "Give it aws, azure or traffic")
        if self.pipeline is not None and self.azure is None:
            raise mistake("names a pipeline and has no Azure side that could read its target", "Leave pipeline out")
        return self


class MigrationConfig(Frozen):
    """The whole file: the pipelines that are cut over together."""

    migration: Name = Field(description="Name of the migration, for logs and reports.")
    state: StateConfig = Field(default=SqliteStateConfig(), description="Where positions and dead letters are kept.")
    http: HttpConfig = Field(default=HttpConfig(), description="Where the daemon answers over HTTP.")
    replicas: ReplicasConfig | None = Field(
        default=None,
        description="How several daemons share the work and take over from each other. Default: there is one, and "
        "another one on the same state store is refused.",
    )
    log: LogConfig = Field(default=LogConfig(), description="How the daemon logs, to standard error.")
    keys: Literal["plain", "hashed"] = Field(
        default="plain",
        description="How records are named in logs, answers and reports. hashed: by a keyed hash, since keys can be "
        "personal data.",
    )
    dead_letters: DeadLettersConfig = Field(default=DeadLettersConfig(), description="What is kept of dead letters.")
    limits: LimitsConfig = Field(default=LimitsConfig(), description="Times and sizes that keep every promise bounded.")
    cutover: CutoverConfig = Field(
        default=CutoverConfig(), description="What is demanded before the migration counts as ready."
    )
    triggers: dict[Name, TriggerConfig] = Field(
        default={}, description="Entry points by name, in the order in which they are switched. Default: none."
    )
    pipelines: dict[Name, PipelineConfig] = Field(min_length=1, description="The pipelines by name.")

    @property
    def copied_once(self) -> list[str]:
        """The pipelines in mode copy."""
        return [name for name, pipeline in self.pipelines.items() if pipeline.mode == "copy"]

    @property
    def is_copied_once(self) -> bool:
        """Whether nothing is followed, so that it ends by itself."""
        return len(self.copied_once) == len(self.pipelines)

    @model_validator(mode="after")
    def _pipelines_of_triggers(self) -> Self:
        for name, trigger in self.triggers.items():
            if trigger.pipeline is not None and trigger.pipeline not in self.pipelines:
                raise ValueError(f"trigger {name} names a pipeline that does not exist")
        return self

    @model_validator(mode="after")
    def _targets_apart(self) -> Self:
        first: dict[tuple[str, ...], str] = {}
        for name, pipeline in self.pipelines.items():
            other = first.setdefault(pipeline.target.place or (name,), name)
            if other != name:
                raise ValueError(f"pipelines {other} and {name} have the same target, and a target has one writer")
        return self
