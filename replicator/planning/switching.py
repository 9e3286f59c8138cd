"""What a switch would do: triggers by their own plans, then the end of the replication."""

from collections.abc import Mapping

from replicator.errors import ConfigurationError
from replicator.planning.model import Planned, When
from replicator.ports import StateStore
from replicator.triggers.looking import Opened
from replicator.triggers.model import Place, Step, word_of
from replicator.triggers.model import Planned as Turned
from replicator.triggers.triggers import Triggers

STEPS = (Step.CORDON, Step.ACTIVATE, Step.TRAFFIC)

SEALED = "replication ends for good (seal): noted in the state store, and nothing is written to the targets any more"

KEPT = "streams, notifications and queues stay as they are, and are only watched from then on"


async def plan_triggers(
    opened: Mapping[Place, Opened], store: StateStore
) -> tuple[list[Planned], list[ConfigurationError]]:
    """Each by itself, so that one that cannot be looked at does not hide the others. Nothing is changed."""
    planned: list[Planned] = []
    errors: list[ConfigurationError] = []
    for step in STEPS:
        for place, switch in opened.items():
            try:
                turns = await Triggers({place: switch}, store, _record).plan(step)
            except ConfigurationError as error:
                errors += [] if error.where in {known.where for known in errors} else [error]
                continue
            planned += [Planned(When.SWITCH, f"triggers.{place}", _told(step, turn)) for turn in turns]
    return planned, errors


def plan_end() -> list[Planned]:
    """What comes after the triggers, of every migration that follows something. Pure."""
    return [Planned(When.SWITCH, "state", SEALED), Planned(When.NEVER, "pipelines", KEPT)]


def _told(step: Step, turn: Turned) -> str:
    now = word_of(turn.now)
    if not turn.change:
        return f"{step}: {now}, stays so ({turn.detail})"
    by = f", by hand: {turn.manual}" if turn.manual else ""
    return f"{step}: {now} -> {word_of(turn.to)}{by} ({turn.detail})"


async def _record(who: str, action: str, pipeline: str, detail: str) -> None:
    """A plan does nothing that would be recorded."""
    raise AssertionError(f"{who} would {action} of {pipeline}: {detail}")
