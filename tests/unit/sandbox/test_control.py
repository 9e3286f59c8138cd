"""Promise of the control paths: what is told wrongly is refused with its reason, never half understood."""

import pytest

from sandbox.control import parsed
from sandbox.cosmos.faults import Fault
from sandbox.servicebus.broker.settings import QueueSettings


def test_what_is_described_is_made() -> None:
    assert parsed(Fault, {"operation": "item.*", "status": 429}) == Fault(operation="item.*", status=429)
    assert parsed(QueueSettings, {}) == QueueSettings()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"statsu": 429}, "a Fault has the members count, cut, .*, not {'statsu': 429}"),
        ({"status": "often"}, "status\n.* valid integer"),
        ([], r"a Fault has the members .*, not \[\]"),
        ({"path": "("}, "is no regular expression"),
    ],
    ids=str,
)
def test_what_is_not_understood_is_refused(body: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parsed(Fault, body)
