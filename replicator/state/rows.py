"""Model objects to rows and back."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from replicator.model import (
    Action,
    Budgets,
    Checkpoint,
    CopyStage,
    DeadLetter,
    Mode,
    Partition,
    Payload,
    Phase,
    PipelineState,
)

Row = sqlite3.Row


def checkpoint_row(checkpoint: Checkpoint) -> tuple[object, ...]:
    """The columns of a checkpoint but for its pipeline."""
    return (
        checkpoint.partition.id,
        checkpoint.partition.log,
        checkpoint.partition.bounded,
        json.dumps(checkpoint.partition.parents),
        checkpoint.position,
        checkpoint.intent,
        checkpoint.finished,
        checkpoint.succeeded,
        text(checkpoint.replicated_through),
        checkpoint.records,
        checkpoint.bytes,
    )


def read_checkpoint(row: Row) -> Checkpoint:
    """The inverse of `checkpoint_row`."""
    return Checkpoint(
        partition=Partition(row["partition"], bool(row["bounded"]), tuple(json.loads(row["parents"])), row["log"]),
        position=row["position"],
        intent=row["intent"],
        finished=bool(row["finished"]),
        succeeded=bool(row["succeeded"]),
        replicated_through=instant(row["replicated_through"]),
        records=row["records"],
        bytes=row["bytes"],
    )


def state_text(state: PipelineState) -> str:
    """A pipeline's state as JSON."""
    return json.dumps(asdict(state), default=datetime.isoformat)


def read_state(written: str) -> PipelineState:
    """The inverse of `state_text`."""
    members: dict[str, Any] = json.loads(written)
    for name, read in STATE_READERS.items():
        if name in members:
            members[name] = read(members[name])
    return PipelineState(**members)


def read_dead_letter(row: Row) -> DeadLetter:
    """A row of the table `dead_letters`."""
    return DeadLetter(
        pipeline=row["pipeline"],
        partition=row["partition"],
        key=row["key"],
        reason=row["reason"],
        committed_at=instant(row["committed_at"]),
        first_seen=datetime.fromisoformat(row["first_seen"]),
        last_seen=datetime.fromisoformat(row["last_seen"]),
        count=row["count"],
        payload=read_payload(row["payload"]),
    )


def payload_text(payload: Payload) -> str:
    """A payload as JSON."""
    return json.dumps(asdict(payload))


def read_payload(written: str | None) -> Payload:
    """The inverse of `payload_text`; of what was refused before there were any, nothing is known."""
    return Payload() if written is None else Payload(**json.loads(written))


def action_row(action: Action) -> tuple[object, ...]:
    """The columns of an action but for its place."""
    return (text(action.at), action.actor, action.name, action.pipeline, action.detail)


def read_action(row: Row) -> Action:
    """A row of the table `actions`."""
    at = datetime.fromisoformat(row["at"])
    return Action(at, row["actor"], row["name"], row["pipeline"], row["detail"], row["place"])


def place_columns(place: str) -> tuple[str, str, str]:
    """The columns `first_seen`, `pipeline` and `key` of a dead letter's place. Raises ValueError if it is none."""
    parts = place.split(" ", 2)
    try:
        first_seen, pipeline, key = parts
        return datetime.fromisoformat(first_seen).isoformat(), pipeline, key
    except ValueError:
        raise ValueError("no place of a dead letter") from None


def text(moment: datetime | None) -> str | None:
    """An instant as text that sorts as time does, all of them being UTC."""
    return None if moment is None else moment.isoformat(timespec="microseconds")


def instant(written: str | None) -> datetime | None:
    """The inverse of `text`."""
    return None if written is None else datetime.fromisoformat(written)


STATE_READERS: dict[str, Callable[[Any], object]] = {
    "mode": Mode,
    "phase": Phase,
    "copy_stage": CopyStage,
    "copy_started_at": instant,
    "copy_finished_at": instant,
    "proven_through": instant,
    "relisting_since": instant,
    "fence": instant,
    "drained_at": instant,
    "sealed_at": instant,
    "budgets": lambda members: Budgets(**members),
}
"""How members of a pipeline's state are read that JSON does not know."""
