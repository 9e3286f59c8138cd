"""Descriptions of queues and durations, as the service writes them."""

from __future__ import annotations

from datetime import timedelta

import isodate  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.servicebus.broker.errors import ARGUMENT, NOT_IMPLEMENTED, RefusedError
from sandbox.servicebus.broker.settings import QueueSettings
from sandbox.servicebus.http.atom import CONNECT, parse_description
from sandbox.servicebus.http.durations import FOR_EVER, format_duration, parse_duration


def described(**members: str) -> bytes:
    """A request that describes a queue with these members."""
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in members.items())
    queue = f'<QueueDescription xmlns="{CONNECT}">{inner}</QueueDescription>'
    return f'<entry xmlns="http://www.w3.org/2005/Atom"><content>{queue}</content></entry>'.encode()


@given(
    st.timedeltas(timedelta(0), timedelta(days=400)).map(
        lambda span: timedelta(milliseconds=span // timedelta(milliseconds=1))
    )
)
def test_durations_are_written_and_read_as_the_sdk_does(span: timedelta) -> None:
    assert isodate.parse_duration(format_duration(span.total_seconds())) == span
    assert parse_duration(isodate.duration_isoformat(span)) == pytest.approx(span.total_seconds())


@pytest.mark.parametrize(("text", "seconds"), [("P7DT0.5S", 604_800.5), ("PT1H2M3S", 3_723.0), (FOR_EVER, None)])
def test_durations_of_every_form_are_read(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "1M", "PT1Y", "P1M"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(text)


def test_what_is_left_out_has_the_services_default() -> None:
    assert parse_description(described()) == QueueSettings()
    assert parse_description(described(RequiresDuplicateDetection="true")).duplicate_window_s == 600
    assert parse_description(described(DuplicateDetectionHistoryTimeWindow="PT1M")).duplicate_window_s is None
    assert parse_description(described(DefaultMessageTimeToLive=FOR_EVER)).time_to_live_s is None


@pytest.mark.parametrize(
    ("body", "condition"),
    [
        (b"<no", ARGUMENT),
        (b"<entry/>", NOT_IMPLEMENTED),
        (described(LockDuration="PT10M"), ARGUMENT),
        (described(LockDuration="soon"), ARGUMENT),
        (described(MaxDeliveryCount="many"), ARGUMENT),
        (described(ForwardTo="other"), NOT_IMPLEMENTED),
        (described(EnablePartitioning="true"), NOT_IMPLEMENTED),
    ],
)
def test_what_the_sandbox_cannot_create_is_refused(body: bytes, condition: str) -> None:
    with pytest.raises(RefusedError, match=condition):
        parse_description(body)
