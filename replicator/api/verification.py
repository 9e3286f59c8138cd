"""Verification over HTTP."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from replicator.api.access import Access
from replicator.api.answers import refusals, refused
from replicator.config.models import MigrationConfig
from replicator.engine.rounds import Ask, Difference, Note, Round
from replicator.naming import Naming
from replicator.status import Instant, PipelineStatus

MOST_FINDINGS = 1000
"""Differences in one answer."""

Verifications = dict[str, tuple[Note, dict[str, int]]]


class Verifies(Protocol):
    """What is needed of a daemon; see `replicator.engine.daemon.Daemon`."""

    config: MigrationConfig
    naming: Naming
    statuses: dict[str, PipelineStatus]

    async def verify(self, pipelines: Sequence[str], ask: Ask) -> None: ...

    def verifications(self) -> Verifications: ...

    async def record(self, actor: str, name: str, pipeline: str = "", detail: str = "") -> None: ...


class Begin(BaseModel):
    """What is to be compared, and how."""

    model_config = ConfigDict(extra="forbid")

    pipeline: str | None = Field(default=None, max_length=63, description="Only this one; all of them by default.")
    repair: bool = Field(default=False, description="Whether what differs is repaired.")
    sample: int | None = Field(
        default=None, ge=1, le=2**53, description="Compare about so many records of each side only."
    )
    bytes: bool = Field(default=False, description="Whether the contents of objects are read on both sides.")
    fast: bool = Field(default=False, description="Whether it goes as fast as the read budget of the source allows.")


class RoundFound(BaseModel):
    """The round that is under way, or the last one. `total` and `eta_s` are null where they are unknown.

    `clean` is null until it has ended. `messages` are those that were received, by what became of them.
    """

    running: bool
    began_at: Instant
    ended_at: Instant | None
    clean: bool | None
    repair: bool
    sample: int | None
    bytes: bool
    fast: bool
    compared: int
    scanned: int
    total: int | None
    eta_s: float | None
    in_doubt: int
    differences: int
    repaired: int
    unsettled: int
    foreign: int
    named: int
    messages: dict[str, int]


class Rounds(BaseModel):
    """By pipeline, null where there was none yet."""

    rounds: dict[str, RoundFound | None]


class Findings(BaseModel):
    """One page of what a round has found. `next` is what `after` must be for the page behind it, null on the last one.

    `began_at` names the round: where it is another one than on the page before, a new one has begun.
    """

    began_at: Instant | None
    findings: list[Difference]
    next: int | None


def router(daemon: Verifies, access: Access) -> APIRouter:
    """The routes below /v1/verification."""
    routes = APIRouter(prefix="/v1/verification")

    def require(pipeline: str | None) -> None:
        if pipeline is not None and pipeline not in daemon.config.pipelines:
            raise HTTPException(404, f"there is no pipeline {pipeline}")

    @routes.post("", summary="Begin a round, or join the one that is under way", responses=refusals(404, 409))
    async def begin(request: Begin, actor: Annotated[str, Depends(access)]) -> Rounds:
        require(request.pipeline)
        names = [request.pipeline] if request.pipeline else list(daemon.config.pipelines)
        ask = Ask(request.sample, contents=request.bytes, repair=request.repair, fast=request.fast)
        with refused():
            await daemon.record(actor, "verify", request.pipeline or "", _detail(ask))
            await daemon.verify(names, ask)
        return _rounds(daemon, names)

    @routes.get("", summary="How far the latest round of each pipeline has come, and what it has found")
    async def rounds() -> Rounds:
        return _rounds(daemon, list(daemon.config.pipelines))

    @routes.get(
        "/findings",
        summary="What the latest round of a pipeline has found, record by record",
        dependencies=[Depends(access)],
        responses=refusals(404),
    )
    async def findings(
        pipeline: str,
        limit: Annotated[int, Query(ge=1, le=MOST_FINDINGS)] = MOST_FINDINGS,
        after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    ) -> Findings:
        require(pipeline)
        note, _ = daemon.verifications().get(pipeline, (Note(), {}))
        found = [] if note.round is None else list(note.round.findings.values())
        page = [_told(each, daemon.naming) for each in found[after : after + limit]]
        more = after + limit < len(found)
        return Findings(
            began_at=note.round.began_at if note.round else None, findings=page, next=after + limit if more else None
        )

    return routes


def _rounds(daemon: Verifies, names: Sequence[str]) -> Rounds:
    known = daemon.verifications()
    return Rounds(rounds={name: _found(known.get(name), daemon.statuses.get(name)) for name in names})


def _found(known: tuple[Note, dict[str, int]] | None, status: PipelineStatus | None) -> RoundFound | None:
    if known is None or known[0].round is None:
        return None
    note, messages = known
    assert note.round is not None  # noqa: S101
    told = status.verification if status else None
    return _described(note.round, messages, total=told.total if told else None, eta_s=told.eta_s if told else None)


def _described(found: Round, messages: dict[str, int], *, total: int | None, eta_s: float | None) -> RoundFound:
    return RoundFound(
        running=found.ended_at is None,
        began_at=found.began_at,
        ended_at=found.ended_at,
        clean=None if found.ended_at is None else found.is_clean,
        repair=found.ask.repair,
        sample=found.ask.sample,
        bytes=found.ask.contents,
        fast=found.ask.fast,
        compared=found.compared,
        scanned=found.scanned,
        total=total,
        eta_s=eta_s if found.ended_at is None else None,
        in_doubt=len(found.doubts),
        differences=found.differences,
        repaired=found.repaired,
        unsettled=found.unsettled,
        foreign=found.foreign,
        named=len(found.findings),
        messages=messages,
    )


def _told(found: Difference, naming: Naming) -> Difference:
    return replace(found, key=naming.key(found.key), reason=naming.text(found.reason, [found.key]))


def _detail(ask: Ask) -> str:
    parts = ["repair"] if ask.repair else []
    parts += [f"sample {ask.sample}"] if ask.sample else []
    parts += ["bytes"] if ask.contents else []
    parts += ["fast"] if ask.fast else []
    return ", ".join(parts)
