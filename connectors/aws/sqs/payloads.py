"""Payloads that extended clients have put into S3: looked up for messages that point to them, and read later."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final

import anyio

from connectors.aws.budget import YieldingBudget
from connectors.aws.calls import Caller
from connectors.aws.clients import open_client
from connectors.aws.errors import AwsRefusal
from connectors.aws.parallel import in_parallel
from connectors.aws.s3.bucket import Bucket
from connectors.aws.s3.content import S3Content, refused_in_words
from connectors.aws.s3.errors import ABSENT, translate_s3
from connectors.aws.s3.objects import unquoted
from connectors.aws.s3.sdk import CLIENT_SETTINGS, ObjectClient
from connectors.aws.sqs.config import SqsSourceConfig
from connectors.aws.sqs.consumers import elsewhere
from connectors.aws.sqs.holding import Received
from connectors.pointers import S3Pointer, s3_pointer
from replicator.errors import ConfigurationError
from replicator.messages import Payload
from replicator.model import Finding, Severity
from replicator.registry import SourceContext

REQUESTS_PER_S: Final = 1000.0
"""Far below what S3 takes, and given way when it throttles."""

PARALLEL: Final = 32

LOOKS: Final = 2
"""A refused HEAD does not say why, and the GET that does waits until credentials are mended, for example."""

MADE_UP: Final = "replicator-check"
"""A key that is asked for where there is no object: who may read is told that there is none."""

GONE: Final = frozenset({*ABSENT, "NoSuchBucket"})


class Payloads:
    """Looks payloads up, so many at once for all who ask, in these buckets only: whoever may send a message names the
    object, and must not be given what only the daemon may read.
    """

    def __init__(self, caller: Caller, client: ObjectClient, buckets: Collection[str]) -> None:
        self._caller = caller
        self._client = client
        self._buckets = buckets
        self._limiter = anyio.CapacityLimiter(PARALLEL)

    @property
    def endpoint(self) -> str:
        """The URL that is called."""
        return self._client.meta.endpoint_url

    async def of(self, messages: Sequence[Received]) -> dict[str, Payload]:
        """The payloads of those messages that point to one, by message id. Repeated until S3 says what is there."""
        pointers = {m.receipt.id: pointer for m in messages if (pointer := s3_pointer(m.body, m.attributes))}
        found = await in_parallel(self._found, list(pointers.values()), self._limiter)
        return {id_: found[pointer] for id_, pointer in pointers.items()}

    async def check(self, where: str) -> list[Finding]:
        """Whether the buckets may be read from, as far as that can be told without an object."""
        return [await self._permission(bucket, where) for bucket in self._buckets]

    async def _found(self, pointer: S3Pointer) -> Payload:
        if pointer.bucket not in self._buckets:
            return Payload(
                obstacle=f"the payload is in bucket {pointer.bucket}, which s3_buckets of the source does not name"
            )
        bucket, words = Bucket(self._caller, self._client, pointer.bucket, ""), ""
        for _ in range(LOOKS):
            try:
                head = await bucket.of_object(self._client.head_object, pointer.key)
            except AwsRefusal as refusal:
                if refusal.code in GONE:
                    return Payload(obstacle=f"the payload is gone from bucket {pointer.bucket}")
                words = await refused_in_words(bucket, pointer.key, refusal)
            else:
                etag, modified_at = unquoted(head["ETag"]), head["LastModified"]
                return Payload(int(head["ContentLength"]), S3Content(bucket, pointer.key, etag, modified_at, ""))
        return Payload(obstacle=f"the payload in bucket {pointer.bucket} cannot be read: {words}")

    async def _permission(self, bucket: str, where: str) -> Finding:
        """A missing object is called missing only where s3:ListBucket is permitted too; else it is refused as well."""
        where, told = f"{where}.s3_buckets", ""
        try:
            answer = await self._caller.probe(self._client.get_object, Bucket=bucket, Key=MADE_UP, Range="bytes=0-0")
            answer["Body"].close()
        except ConfigurationError as error:
            return Finding(Severity.ERROR, where, f"bucket {bucket}: {error.problem}", error.fix)
        except AwsRefusal as refusal:
            told = refusal.message if refusal.code not in ABSENT else ""
            if refusal.code == "NoSuchBucket":
                return Finding(Severity.ERROR, where, f"there is no bucket {bucket}", "Check its name and the account")
        if not told:
            return Finding(Severity.OK, where, f"s3:GetObject in bucket {bucket} is permitted")
        named = "s3:GetObject" in told
        return Finding(
            Severity.ERROR if named else Severity.WARNING,
            where,
            f"s3:GetObject in bucket {bucket} is refused, " + ("" if named else "or only s3:ListBucket is: ") + told,
            "See docs/connectors/sqs-to-servicebus.md for the policy",
        )


@asynccontextmanager
async def open_payloads(config: SqsSourceConfig, context: SourceContext) -> AsyncIterator[Payloads | None]:
    """With a client of its own; None where pointers are passed on as they are."""
    if config.s3_pointers != "inline":
        yield None
        return
    of_s3 = elsewhere(config).model_copy(update={"endpoint": config.s3_endpoint} if config.s3_endpoint else {})
    async with open_client("s3", of_s3, context.where, settings=CLIENT_SETTINGS) as client:
        caller = Caller(context.where, context.telemetry, YieldingBudget(REQUESTS_PER_S), translate_s3)
        yield Payloads(caller, client, config.s3_buckets)
