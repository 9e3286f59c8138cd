"""What is kept of a change that was refused, beside its key and the reason."""

from dataclasses import replace
from typing import Generic

from replicator.config.models import DeadLettersConfig
from replicator.model import Change, Payload, R
from replicator.registry import RecordKind


class Payloads(Generic[R]):
    """Makes payloads as the config says. What a record is, only its kind knows."""

    def __init__(self, kind: RecordKind[R], config: DeadLettersConfig) -> None:
        self._kind = kind
        self._config = config

    def of(self, change: Change[R]) -> Payload:
        """Never larger than what the config allows: what is too large is only referred to."""
        bare = Payload(change.version)
        if self._config.payloads == "none":
            return bare
        referred = replace(bare, reference=dict(self._kind.reference(change.record)))
        if self._config.payloads == "reference":
            return referred
        body = self._kind.body(change.record)
        return replace(referred, body=body) if len(body.encode()) <= self._config.max_payload_bytes else referred


def read_from(payload: Payload, partition: str, position: str | None) -> Payload:
    """The same, found in a log behind this position. Nothing is added where no reference is to be kept."""
    if position is None or payload.reference is None:
        return payload
    return replace(payload, reference={**payload.reference, "partition": partition, "position": position})
