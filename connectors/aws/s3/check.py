"""Findings about a bucket: permissions by trying, settings by reading. Nothing is changed."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from connectors.aws.calls import Caller, Operation, Response
from connectors.aws.errors import AwsRefusal
from connectors.aws.s3.bucket import Page
from connectors.aws.s3.config import S3SourceConfig
from connectors.aws.s3.errors import ABSENT
from connectors.aws.s3.objects import ARCHIVES
from connectors.aws.s3.sdk import BucketClient
from replicator.errors import ConfigurationError
from replicator.model import Finding, Severity
from replicator.wording import counted

PAGE = "docs/connectors/s3-to-blob.md"
POLICY = f"See {PAGE} for the policy"

MADE_UP = "replicator check"
"""A key that is asked for where there is no object: who may read is told that there is none."""

UNSET = frozenset({"ObjectLockConfigurationNotFoundError", "ReplicationConfigurationNotFoundError"})


class BucketCheck:
    """One look at a bucket, once it is connected. `first` is the first page of its listing."""

    def __init__(self, caller: Caller, client: BucketClient, config: S3SourceConfig, where: str, first: Page) -> None:
        self._caller = caller
        self._client = client
        self._config = config
        self._where = where
        self._first = first

    async def findings(self) -> list[Finding]:
        """All of them, best first."""
        return [
            await self._bucket(),
            *await self._permissions(),
            *self._archived(),
            *await self._settings(),
        ]

    async def _bucket(self) -> Finding:
        where, bucket = f"{self._where}.bucket", self._config.bucket
        try:
            told = await self._asked(self._client.head_bucket)
        except (ConfigurationError, AwsRefusal) as error:
            return Finding(Severity.NOTE, where, f"bucket {bucket} can be listed; its region is not told ({error})")
        if told.get("BucketLocationType"):
            return Finding(
                Severity.ERROR, where, f"{bucket} is a directory bucket", "Copy it into a general purpose bucket first"
            )
        return Finding(Severity.OK, where, f"bucket {bucket} in {told.get('BucketRegion', 'its region')} can be listed")

    async def _permissions(self) -> list[Finding]:
        """With the first object, so that its key of encryption is tried too."""
        key = next((entry["Key"] for entry in self._first.entries), self._config.key_prefix + MADE_UP)

        async def look() -> None:
            await self._asked(self._client.head_object, Key=key, ChecksumMode="ENABLED")

        async def read() -> None:
            answer = await self._asked(self._client.get_object, Key=key)
            answer["Body"].close()

        async def tags() -> None:
            await self._asked(self._client.get_object_tagging, Key=key)

        findings = [
            await self._tried("s3:GetObject, to look at headers and checksums,", look),
            await self._tried("s3:GetObject, and kms:Decrypt where objects are encrypted so,", read),
        ]
        if self._config.tags:
            return [*findings, await self._tried("s3:GetObjectTagging", tags, ", or set `tags: false`")]
        left = Finding(Severity.NOTE, f"{self._where}.tags", "tags are not read: the target gets none")
        return [*findings, left]

    async def _tried(self, permission: str, attempt: Callable[[], Awaitable[None]], instead: str = "") -> Finding:
        try:
            await attempt()
        except AwsRefusal as refusal:
            if refusal.code == "InvalidObjectState":
                return Finding(Severity.OK, self._where, f"{permission} is permitted; the object tried is archived")
            if refusal.code not in ABSENT:
                return Finding(Severity.ERROR, self._where, f"{permission}: {refusal}", POLICY + instead)
        except ConfigurationError as error:
            return Finding(Severity.ERROR, self._where, f"{permission}: {error.problem}", POLICY + instead)
        return Finding(Severity.OK, self._where, f"{permission} is permitted")

    def _archived(self) -> list[Finding]:
        classes = Counter(str(entry.get("StorageClass", "")) for entry in self._first.entries)
        archived = sum(classes[name] for name in ARCHIVES)
        looked_at = counted(len(self._first.entries), "object")
        findings = []
        if archived:
            findings.append(
                Finding(
                    Severity.WARNING,
                    self._where,
                    f"{archived} of the first {looked_at} are archived, which cannot be read and become dead letters",
                    "Restore them, then retry the dead letters",
                )
            )
        if classes["INTELLIGENT_TIERING"]:
            message = f"{classes['INTELLIGENT_TIERING']} of the first {looked_at} are tiered by S3, some maybe archived"
            findings.append(Finding(Severity.NOTE, self._where, message))
        return findings

    async def _settings(self) -> list[Finding]:
        """What is not carried over, where there is any of it."""
        looks = (
            (self._client.get_bucket_versioning, "s3:GetBucketVersioning", _versioning),
            (self._client.get_object_lock_configuration, "s3:GetBucketObjectLockConfiguration", _lock),
            (self._client.get_bucket_replication, "s3:GetReplicationConfiguration", _replication),
            (self._client.list_multipart_uploads, "s3:ListBucketMultipartUploads", _uploads),
        )
        found = [await self._setting(*look) for look in looks]
        return [finding for finding in found if finding is not None]

    async def _setting(
        self, operation: Operation, permission: str, note: Callable[[Mapping[str, Any]], str]
    ) -> Finding | None:
        try:
            message = note(await self._asked(operation))
        except AwsRefusal as refusal:
            message = "" if refusal.code in UNSET else f"{permission} is refused ({refusal.code})"
        except ConfigurationError as error:
            message = f"{permission} is missing, so that is not looked at ({error.problem})"
        return Finding(Severity.NOTE, f"{self._where}.bucket", message) if message else None

    async def _asked(self, operation: Operation, **parameters: object) -> Response:
        return await self._caller.probe(operation, Bucket=self._config.bucket, **parameters)


def _versioning(told: Mapping[str, Any]) -> str:
    status = told.get("Status")
    return f"versioning is {status}: only present versions are copied" if status else ""


def _lock(told: Mapping[str, Any]) -> str:
    enabled = told.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled")
    return "object lock is on: retention and legal holds are not carried over" if enabled else ""


def _replication(told: Mapping[str, Any]) -> str:
    rules = told.get("ReplicationConfiguration", {}).get("Rules")
    return "the bucket is replicated by S3: its rules are not carried over" if rules else ""


def _uploads(told: Mapping[str, Any]) -> str:
    uploads = len(told.get("Uploads", ()))
    return f"{counted(uploads, 'upload')} in parts not completed yet: an object is there once it is" if uploads else ""
