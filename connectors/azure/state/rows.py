"""Model objects to plain JSON and back."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from replicator.model import Action, Checkpoint, DeadLetter, Partition, Payload
from replicator.state.rows import instant, text

Members = dict[str, Any]


def checkpoint_members(checkpoint: Checkpoint) -> Members:
    """A checkpoint as JSON."""
    return {**asdict(checkpoint), "replicated_through": text(checkpoint.replicated_through)}


def read_checkpoint(members: Members) -> Checkpoint:
    """The inverse of `checkpoint_members`."""
    partition = members["partition"]
    return Checkpoint(
        **{
            **members,
            "partition": Partition(**{**partition, "parents": tuple(partition["parents"])}),
            "replicated_through": instant(members["replicated_through"]),
        }
    )


def action_members(action: Action) -> Members:
    """An action as JSON, without its place."""
    members = asdict(action)
    del members["place"]
    return {**members, "at": text(action.at)}


def read_action(members: Members, place: int) -> Action:
    """The inverse of `action_members`."""
    return Action(**{**members, "at": datetime.fromisoformat(members["at"])}, place=place)


def read_letter(pipeline: str, key: str, members: Members) -> DeadLetter:
    """An open dead letter."""
    return DeadLetter(
        pipeline=pipeline,
        key=key,
        partition=members["partition"],
        reason=members["reason"],
        committed_at=instant(members["committed_at"]),
        first_seen=datetime.fromisoformat(members["first_seen"]),
        last_seen=datetime.fromisoformat(members["last_seen"]),
        count=members["count"],
        payload=Payload(**members["payload"]),
    )
