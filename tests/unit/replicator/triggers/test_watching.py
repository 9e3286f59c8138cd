"""Promise: what is told of Azure triggers is never better than what was seen."""

import pytest

from replicator.status import AzureTriggers
from replicator.triggers.looking import Seen
from replicator.triggers.model import Place, Side, TriggerState
from replicator.triggers.watching import azure_triggers

PLACE = Place("orders", Side.AZURE)


@pytest.mark.parametrize(
    ("state", "on", "unknown"),
    [
        (TriggerState(False), [], []),
        (TriggerState(True), ["orders"], []),
        (TriggerState(False, settled=False), ["orders"], []),
        (TriggerState(None), [], ["orders"]),
        (None, [], ["orders"]),
    ],
)
def test_only_off_and_settled_is_off(state: TriggerState | None, on: list[str], unknown: list[str]) -> None:
    told = azure_triggers({PLACE: Seen(state, 90.0)}, ("orders",), 100.0)
    assert told == AzureTriggers(on=on, unknown=unknown, age_s=10.0)


def test_one_that_was_never_looked_at_is_unknown() -> None:
    assert azure_triggers({}, ("orders",), 1.0) == AzureTriggers(on=[], unknown=["orders"], age_s=None)
    assert azure_triggers({}, (), 1.0) is None
