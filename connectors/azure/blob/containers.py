"""Account and containers: what must be true of them before anything is written, and making them where allowed."""

import uuid
from dataclasses import dataclass
from typing import Any

from azure.storage.blob import ContainerProperties
from azure.storage.blob.aio import BlobServiceClient

from connectors.azure.blob.calls import Calls, Send, container_replaced
from connectors.azure.blob.config import BlobTargetConfig
from connectors.azure.blob.writing import unchanged
from connectors.azure.errors import CREDENTIALS_FIX, AzureRefusal, configuration_error
from connectors.azure.probing import TOKEN_TIMEOUT_S
from replicator.errors import AccessError, ConfigurationError

INCARNATION = "replicator_incarnation"
"""The entry of a container's metadata that tells it from another one of the same name."""

CREATE_TIMEOUT_S = 60.0
"""A container that was just deleted cannot be made again for half a minute."""

WITHOUT_TIERS = frozenset({"BlockBlobStorage", "Storage", "FileStorage"})
"""Kinds of accounts whose blobs have no access tiers."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the account says of itself; None where it may not be asked."""

    kind: str | None = None
    sku: str = ""
    hierarchical: bool | None = None

    @property
    def has_tiers(self) -> bool:
        """Whether a blob may be given an access tier."""
        return self.kind not in WITHOUT_TIERS


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days the service keeps what is overwritten or deleted, None for not at all."""

    deleted_days: int | None = None


@dataclass(frozen=True, slots=True)
class Existing:
    """What was found: the properties of each container, None where it is missing."""

    container: ContainerProperties | None = None
    marker: ContainerProperties | None = None

    @property
    def incarnation(self) -> str:
        """Which container of that name it is, empty where nothing has been noted in it yet."""
        return "" if self.container is None else _incarnation(self.container)


class Containers:
    """The containers of one target."""

    def __init__(self, client: BlobServiceClient, calls: Calls, config: BlobTargetConfig, where: str) -> None:
        self._client = client
        self._calls = calls
        self._config = config
        self._where = where

    async def account(self) -> Account:
        """Raises ConfigurationError where it cannot be used as a target."""
        timeout_s = TOKEN_TIMEOUT_S if self._config.key is None else None
        try:
            found: dict[str, Any] = await self._calls.probe(
                self._where, self._client.get_account_information, timeout_s
            )
        except ConfigurationError as error:
            if not isinstance(error.__cause__, AccessError):
                raise
            return Account()
        except AzureRefusal:
            return Account()
        account = Account(found["account_kind"], found["sku_name"], found.get("is_hns_enabled"))
        if account.hierarchical:
            raise ConfigurationError(
                f"{self._where}.endpoint",
                "the account has a hierarchical namespace: a name cannot be an object and a folder there, listings "
                "come in another order, and blobs have no tags",
                "Name an account without one",
            )
        return account

    async def find(self) -> Existing:
        """Raises ConfigurationError where what there is cannot be used, or is missing and may not be made."""
        config = self._config
        existing = Existing(
            await self._properties(config.container, "container"),
            await self._properties(config.marker_container, "marker_container"),
        )
        for field, properties in (("container", existing.container), ("marker_container", existing.marker)):
            if properties is None and not config.create:
                raise ConfigurationError(
                    f"{self._where}.{field}",
                    f"container {getattr(config, field)} does not exist",
                    "Create it, or allow that with create: true",
                )
        return existing

    async def require_access(self) -> None:
        """Raises ConfigurationError for what is not permitted, found out without changing anything.

        A blob that cannot exist is read, and written and removed on a condition that cannot hold.
        """
        container = self._client.get_container_client(self._config.container)
        blob = container.get_blob_client(f"replicator-{uuid.uuid4()}")
        never = unchanged("0x0")
        attempts: list[tuple[str, Send[Any]]] = [
            ("read", blob.get_blob_properties),
            ("written", lambda: blob.upload_blob(b"", overwrite=True, **never)),
            ("deleted", lambda: blob.delete_blob(**never)),
            ("listed", lambda: _first_page(container, tags=self._config.tags == "index")),
        ]
        if self._config.tags == "index":
            attempts += [("read for tags", blob.get_blob_tags), ("tagged", lambda: blob.set_blob_tags({}))]
        for done, attempt in attempts:
            await self._tried(f"container {self._config.container} may not be {done}", attempt)

    async def create(self, existing: Existing) -> Existing:
        """Makes what is missing, and notes in the container which one it is; idempotent."""
        if existing.container is None:
            await self._made(self._config.container)
        if existing.marker is None:
            await self._made(self._config.marker_container)
        found = existing if existing.container is not None and existing.marker is not None else await self.find()
        if found.incarnation:
            return found
        await self._note()
        return await self.find()

    async def require_same(self, existing: Existing) -> None:
        """Raises ForeignOwnerError unless the container of objects still is the one that was found."""
        client = self._client.get_container_client(self._config.container)
        found = await self._calls.find(client.get_container_properties)
        if found is None or _incarnation(found) != existing.incarnation:
            raise container_replaced(self._where, self._config.container)

    async def retention(self) -> Retention | None:
        """What the service keeps of what is overwritten or deleted; None where it may not be asked."""
        try:
            found = await self._calls.probe(self._where, self._client.get_service_properties)
        except (AzureRefusal, ConfigurationError):
            return None
        policy = found["delete_retention_policy"]
        return Retention(policy.days if policy is not None and policy.enabled else None)

    async def fetches(self) -> bool | None:
        """Whether the service fetches blocks from URLs, asked by one where nothing is; None where it is unknown."""
        container = self._client.get_container_client(self._config.container)
        blob = container.get_blob_client(f"replicator-{uuid.uuid4()}")
        try:
            await self._calls.probe(self._where, lambda: blob.stage_block_from_url("0", f"{blob.url}-source"))
        except AzureRefusal as refusal:
            return refusal.code == "CannotVerifyCopySource"
        except ConfigurationError:
            return None
        return True

    async def _note(self) -> None:
        """Beside what others have noted; whoever does the same at the same moment is found out by `find` afterwards."""
        client = self._client.get_container_client(self._config.container)
        properties = await self._calls.read(client.get_container_properties)
        if _incarnation(properties):
            return
        metadata = {**(properties.metadata or {}), INCARNATION: uuid.uuid4().hex}
        try:
            await self._calls.probe(
                f"{self._where}.container",
                lambda: client.set_container_metadata(metadata, if_modified_since=None),
                CREATE_TIMEOUT_S,
            )
        except AzureRefusal as refusal:
            raise ConfigurationError(
                f"{self._where}.container", f"its metadata cannot be written: {refusal}", CREDENTIALS_FIX
            ) from refusal

    async def _made(self, name: str) -> None:
        client = self._client.get_container_client(name)
        try:
            await self._calls.probe(self._where, client.create_container, CREATE_TIMEOUT_S)
        except AzureRefusal as refusal:
            if refusal.code != "ContainerAlreadyExists":  # somebody else has made it since we looked
                raise ConfigurationError(
                    f"{self._where}.create",
                    f"container {name} cannot be made: {refusal}",
                    "Mend that, or create it beforehand",
                ) from refusal

    async def _properties(self, name: str, field: str) -> ContainerProperties | None:
        client = self._client.get_container_client(name)
        timeout_s = TOKEN_TIMEOUT_S if self._config.key is None else None
        try:
            return await self._calls.probe(self._where, client.get_container_properties, timeout_s)
        except AzureRefusal as refusal:
            if refusal.status == 404:
                return None
            raise configuration_error(f"{self._where}.{field}", refusal) from refusal

    async def _tried(self, otherwise: str, attempt: Send[Any]) -> None:
        where = f"{self._where}.container"
        try:
            await self._calls.probe(where, attempt)
        except AzureRefusal as refusal:
            if refusal.status not in {404, 412}:
                raise ConfigurationError(where, f"{otherwise}: {refusal}", CREDENTIALS_FIX) from refusal
        except ConfigurationError as error:
            if isinstance(error.__cause__, AccessError):
                raise ConfigurationError(where, f"{otherwise}: {error.__cause__}", CREDENTIALS_FIX) from error
            raise


async def _first_page(container: Any, *, tags: bool) -> None:
    include = ["metadata", "tags"] if tags else ["metadata"]
    await anext(container.list_blobs(include=include, results_per_page=1).by_page(), None)


def _incarnation(properties: ContainerProperties) -> str:
    metadata = {name.lower(): value for name, value in (properties.metadata or {}).items()}
    return metadata.get(INCARNATION) or ""
