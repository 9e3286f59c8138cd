"""Dead letters over HTTP. Records are named as the config says; all of it is for those who may."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Protocol, Self

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from replicator.api.access import Access
from replicator.api.answers import Refusal, refusals, refused
from replicator.config.models import MigrationConfig
from replicator.model import DeadLetter, Discarded, Retried
from replicator.naming import Naming

MOST_LETTERS = 1000
"""Dead letters in one answer, or taken up again by one request."""

MOST_TOLD = 10
"""Names that the audit log tells one by one; beyond that it tells how many there were."""

MOST_REASON = 500


class KeepsLetters(Protocol):
    """What is needed of a daemon; see `replicator.engine.daemon.Daemon`."""

    config: MigrationConfig
    naming: Naming

    async def dead_letters(self, pipeline: str | None, limit: int, after: str | None) -> list[DeadLetter]: ...

    async def letter(self, pipeline: str, key: str) -> DeadLetter | None: ...

    async def retry(self, pipeline: str, keys: Sequence[str]) -> Retried: ...

    async def discard(self, pipeline: str, keys: Sequence[str]) -> Discarded: ...

    async def record(self, actor: str, name: str, pipeline: str = "", detail: str = "") -> None: ...


class Letter(BaseModel):
    """A change that could not be applied."""

    pipeline: str
    partition: str
    key: str
    reason: str
    committed_at: datetime | None
    first_seen: datetime
    last_seen: datetime
    count: int

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """As it was told; without its payload."""
        return cls(**{name: getattr(letter, name) for name in cls.model_fields})


class Letters(BaseModel):
    """One page of dead letters. `next` is what `after` must be for the page behind it, null on the last one."""

    dead_letters: list[Letter]
    next: str | None


class Shown(BaseModel):
    """A dead letter whole: `key` is the plain one. `version` is the source's; `reference` is what else finds the record
    there; `body` is what it held. Null is what is not kept, or was and has expired.
    """

    letter: Letter
    key: str | None
    version: str
    reference: dict[str, str] | None
    body: str | None


class One(BaseModel):
    """Which dead letter."""

    model_config = ConfigDict(extra="forbid")

    pipeline: str = Field(max_length=63)
    key: str = Field(description="As listed.")


class Retry(BaseModel):
    """Which dead letters to take up again."""

    model_config = ConfigDict(extra="forbid")

    pipeline: str = Field(max_length=63)
    keys: list[str] = Field(min_length=1, max_length=MOST_LETTERS, description="As listed.")


class Discard(Retry):
    """Which dead letters to close for good, and why."""

    reason: str = Field(min_length=1, max_length=MOST_REASON, pattern=r"\S", description="For the audit log.")


def shown(letter: DeadLetter, naming: Naming) -> Shown:
    """A dead letter with its payload. Its plain key is told where what finds the record at the source is kept."""
    kept = letter.payload
    named = replace(
        letter,
        key=naming.key(letter.key),
        partition=naming.partition(letter.partition),
        reason=naming.text(letter.reason, [letter.key]),
    )
    return Shown(
        letter=Letter.of(named),
        key=letter.key if kept.reference is not None or not naming.hides else None,
        version=kept.version,
        reference=None if kept.reference is None else dict(kept.reference),
        body=kept.body,
    )


def router(daemon: KeepsLetters, access: Access) -> APIRouter:
    """The routes below /v1/dead-letters."""
    routes = APIRouter(prefix="/v1/dead-letters", responses=refusals(404))

    def require(pipeline: str | None) -> None:
        if pipeline is not None and pipeline not in daemon.config.pipelines:
            raise HTTPException(404, f"there is no pipeline {pipeline}")

    @routes.get(
        "",
        summary="Changes that could not be applied, oldest first",
        dependencies=[Depends(access)],
        responses={400: {"model": Refusal, "description": "`after` is no place in the list."}},
    )
    async def listing(
        pipeline: str | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST_LETTERS)] = MOST_LETTERS,
        after: str | None = None,
    ) -> Letters:
        require(pipeline)
        try:
            page = await daemon.dead_letters(pipeline, limit, after)
        except ValueError as error:
            raise HTTPException(400, f"after: {error}") from error
        return Letters(
            dead_letters=[Letter.of(letter) for letter in page],
            next=page[-1].place if len(page) == limit else None,
        )

    @routes.post("/show", summary="One of them whole, with what its record held", responses=refusals(409))
    async def show(which: One, actor: Annotated[str, Depends(access)]) -> Shown:
        require(which.pipeline)
        letter = await daemon.letter(which.pipeline, which.key)
        if letter is None:
            raise HTTPException(404, f"no dead letter of {which.pipeline} is open for this key")
        with refused():
            await daemon.record(actor, "show a dead letter", which.pipeline, daemon.naming.key(letter.key))
        return shown(letter, daemon.naming)

    @routes.post("/retry", summary="Take dead letters up again, from the source as it is now", responses=refusals(409))
    async def retry(request: Retry, actor: Annotated[str, Depends(access)]) -> Retried:
        require(request.pipeline)
        with refused():
            await daemon.record(actor, "retry dead letters", request.pipeline, f"{len(request.keys)} keys")
            return await daemon.retry(request.pipeline, request.keys)

    @routes.post("/discard", summary="Close dead letters without applying anything", responses=refusals(409))
    async def discard(request: Discard, actor: Annotated[str, Depends(access)]) -> Discarded:
        """The reason is kept in the audit log, with the names of the records, a line for each few of them."""
        require(request.pipeline)
        names = [daemon.naming.told(key) for key in request.keys]
        with refused():
            for start in range(0, len(names), MOST_TOLD):
                some = ", ".join(names[start : start + MOST_TOLD])
                await daemon.record(actor, "discard dead letters", request.pipeline, f"{some}: {request.reason}")
            return await daemon.discard(request.pipeline, request.keys)

    return routes
