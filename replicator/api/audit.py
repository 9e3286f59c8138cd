"""The audit log over HTTP."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from replicator.api.access import Access
from replicator.model import Action

MOST_ACTIONS = 1000
"""Actions in one answer."""


class KeepsActions(Protocol):
    """What is needed of a daemon; see `replicator.engine.daemon.Daemon`."""

    async def actions(self, limit: int, after: int) -> list[Action]: ...


class Actions(BaseModel):
    """One page of the audit log. `next` is what `after` must be for the page behind it, null on the last one."""

    actions: list[Action]
    next: int | None


def router(daemon: KeepsActions, access: Access) -> APIRouter:
    """The route /v1/actions."""
    routes = APIRouter()

    @routes.get("/v1/actions", summary="What operators have done, oldest first", dependencies=[Depends(access)])
    async def actions(
        limit: Annotated[int, Query(ge=1, le=MOST_ACTIONS)] = MOST_ACTIONS,
        after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    ) -> Actions:
        page = await daemon.actions(limit, after)
        return Actions(actions=page, next=page[-1].place if len(page) == limit else None)

    return routes
