"""The calls about one bucket, within the budget of requests."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NoReturn

from connectors.aws.calls import Caller, Operation, Response
from connectors.aws.errors import AwsRefusal
from connectors.aws.s3.sdk import ObjectClient
from replicator.errors import PositionLostError

MOST_KEYS = 1000
"""S3 lists no more in one answer."""

UNSORTED = "the listing is not in the order of UTF-8 bytes, as that of a general purpose bucket of S3 is"

Entry = Mapping[str, Any]
"""An object as ListObjectsV2 shows it."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing in order. `folders` are what a delimiter has folded; `token` is where to go on in a page
    that is truncated and yet empty.
    """

    entries: tuple[Entry, ...]
    folders: tuple[str, ...]
    truncated: bool
    token: str | None


class Bucket:
    """A bucket, of which only what begins with `prefix` is there. Shared by all that read it."""

    def __init__(self, caller: Caller, client: ObjectClient, name: str, prefix: str) -> None:
        self.caller = caller
        self.client = client
        self.name = name
        self.prefix = prefix

    async def page(
        self,
        after: str,
        *,
        prefix: str | None = None,
        most: int = MOST_KEYS,
        delimiter: str = "",
        token: str | None = None,
    ) -> Page:
        """What is listed behind the key `after`. Raises PositionLostError when the bucket is gone or not in order."""
        options: dict[str, object] = {"Prefix": self.prefix if prefix is None else prefix, "MaxKeys": most}
        options |= {"Delimiter": delimiter} if delimiter else {}
        options |= {"ContinuationToken": token} if token else {"StartAfter": after} if after else {}
        try:
            answer = await self.caller.counted(self.client.list_objects_v2, Bucket=self.name, **options)
        except AwsRefusal as refusal:
            self._refused(refusal)
        return read_page(answer, after)

    async def pages(self, after: str) -> AsyncGenerator[Page, None]:
        """All pages behind a key. Each begins behind the last key of the one before, so none depends on a token."""
        token = None
        while True:
            page = await self.page(after, token=token)
            yield page
            if not page.truncated:
                return
            after = page.entries[-1]["Key"] if page.entries else after
            token = None if page.entries else page.token

    async def of_object(self, operation: Operation, key: str, **options: object) -> Response:
        """Asks about one object until there is a definite answer. Raises AwsRefusal when that is a refusal."""
        return await self.caller.counted(operation, Bucket=self.name, Key=key, **options)

    def _refused(self, refusal: AwsRefusal) -> NoReturn:
        if refusal.code != "NoSuchBucket":
            raise refusal
        raise PositionLostError(
            f"bucket {self.name} is gone. If it was deleted on purpose, remove the pipeline; "
            "if it was made anew, run once with --adopt"
        ) from refusal


def read_page(answer: Response, after: str) -> Page:
    """The page of an answer; keys have been decoded by the client, which asks for them encoded as in a URL.

    Raises PositionLostError where it is not in order: nothing could be said of what a range holds.
    """
    entries = tuple(answer.get("Contents", ()))
    folders = tuple(folder["Prefix"] for folder in answer.get("CommonPrefixes", ()))
    keys = [after, *(entry["Key"] for entry in entries)]
    token = answer.get("NextContinuationToken")
    truncated = bool(answer.get("IsTruncated"))
    stuck = truncated and not (entries or folders or token)
    if stuck or not all(one < other for one, other in pairwise(keys)):
        raise PositionLostError(f"{UNSORTED}: it cannot be read in parts")
    return Page(entries, folders, truncated, token)
