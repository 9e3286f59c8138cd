"""Promise: whatever a message says arrives, reads naturally to a consumer, and can be told back exactly."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.azure.servicebus import properties as names
from connectors.azure.servicebus.mapping import (
    MOST_ID_CHARACTERS,
    MappingRules,
    MessageRefusedError,
    Outgoing,
    from_servicebus,
    short_id,
    to_servicebus,
)
from connectors.azure.servicebus.tracing import trace_parent
from replicator.messages import Attribute, Message
from strategies import binaries, texts

SENT_AT = datetime(2026, 11, 23, 12, 30, 15, 123000, tzinfo=UTC)
PLAIN, SESSIONS = MappingRules(), MappingRules(sessions=True)
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
PARENT = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"

NAMES = ["size", "Size", "replicator_", "replicator_types", "replicator_attribute_x", "Diagnostic-Id", "traceparent"]
NUMBERS = ["0", "-0", "1.50", "1e3", "9223372036854775807", "9223372036854775808", "0.1", "1E+400", "NaN", "x", "1_0"]

attributes = st.one_of(
    st.builds(Attribute, st.sampled_from(["String", "String.json", "Other"]), texts | st.just(PARENT)),
    st.builds(Attribute, st.sampled_from(["Number", "Number.int"]), st.sampled_from(NUMBERS) | st.decimals().map(str)),
    st.builds(Attribute, st.sampled_from(["Number", "Number.int"]), st.integers().map(str) | st.floats().map(repr)),
    st.builds(Attribute, st.sampled_from(["Binary", "Binary.png"]), binaries),
)
ids = texts | st.text("ab~-", min_size=120, max_size=140) | st.sampled_from(["", "replicator~", " ", "a/b?#", "\x00"])
messages = st.builds(
    Message,
    id=ids,
    body=texts,
    sent_at=st.datetimes(timezones=st.just(UTC)),
    attributes=st.dictionaries(texts | st.sampled_from(NAMES), attributes, max_size=5),
    group=ids,
    ordered=st.booleans(),
    deduplication_id=st.none() | texts,
    sequence=texts,
    trace_header=st.none() | texts | st.just(TRACE),
    received=st.integers(1, 10**6),
    queue=texts,
)


def message(**fields: Any) -> Message:
    """One of a standard queue."""
    return Message(**{"id": "m", "body": "b", "sent_at": SENT_AT, **fields})


def sent(rules: MappingRules = PLAIN, **fields: Any) -> Outgoing:
    return to_servicebus(message(**fields), rules)


def attribute(kind: str, value: str | bytes) -> Any:
    """What a consumer finds of an attribute."""
    return sent(attributes={"a": Attribute(kind, value)}).properties["a"]


@given(messages)
def test_with_sessions_a_message_can_be_told_back(given_message: Message) -> None:
    assert from_servicebus(to_servicebus(given_message, SESSIONS)) == given_message


@given(messages, st.booleans())
def test_without_sessions_a_message_can_be_told_back(given_message: Message, grouped: bool) -> None:
    unordered = given_message if grouped else replace(given_message, group=None, ordered=False)
    assert from_servicebus(to_servicebus(unordered, MappingRules(drop_order=True))) == unordered


@given(messages)
def test_ids_are_what_the_service_takes(given_message: Message) -> None:
    outgoing = to_servicebus(given_message, SESSIONS)
    for id_ in (outgoing.message_id, outgoing.session_id):
        assert id_
        assert len(id_) <= MOST_ID_CHARACTERS
        assert id_.isascii()


@given(ids, ids)
def test_different_ids_stay_different(one: str, other: str) -> None:
    both = [sent(SESSIONS, id=id_, group=id_, ordered=True) for id_ in (one, other)]
    assert (both[0].message_id == both[1].message_id) == (one == other)
    assert (both[0].session_id == both[1].session_id) == (one == other)


def test_no_id_can_pass_for_the_one_that_stands_for_another() -> None:
    long = "x" * 129
    assert sent(id=short_id(long)).message_id != sent(id=long).message_id == short_id(long)


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        ("String", "", ""),
        ("String", "1", "1"),
        ("String.json", "{}", "{}"),
        ("Number", "1", 1),
        ("Number", "-9223372036854775808", -(2**63)),
        ("Number", "9223372036854775808", "9223372036854775808"),
        ("Number", "1.50", 1.5),
        ("Number", "0.1", 0.1),
        ("Number.float", "1e3", 1000.0),
        ("Number", "0.12345678901234567890", "0.12345678901234567890"),
        ("Number", "1e999", "1e999"),
        ("Binary", b"\xff\x00", "/wA="),
    ],
)
def test_a_consumer_finds_the_value_with_its_type(kind: str, value: str | bytes, found: Any) -> None:
    assert attribute(kind, value) == found
    assert type(attribute(kind, value)) is type(found)


def test_what_needs_no_note_has_none() -> None:
    plain = {"s": Attribute("String", "x"), "n": Attribute("Number", "7"), "f": Attribute("Number", "0.5")}
    assert names.TYPES not in sent(attributes=plain).properties


def test_no_attribute_is_taken_for_ours() -> None:
    properties = sent(attributes={names.SENT_AT: Attribute("String", "never")}).properties
    assert properties[names.SENT_AT] == SENT_AT.isoformat()
    assert properties["replicator_attribute_replicator_sent_at"] == "never"


def test_what_the_source_said_of_a_message_is_there() -> None:
    properties = sent(
        queue="orders", received=3, sequence="188", deduplication_id="d", group="customer", trace_header=TRACE
    ).properties
    assert properties == {
        "replicator_source_queue": "orders",
        "replicator_sent_at": "2026-11-23T12:30:15.123000+00:00",
        "replicator_received": 3,
        "replicator_sequence": "188",
        "replicator_deduplication_id": "d",
        "replicator_group": "customer",
        "replicator_trace_header": TRACE,
        "Diagnostic-Id": PARENT,
        "traceparent": PARENT,
    }


def test_the_applications_own_trace_context_is_left_alone() -> None:
    own = {"traceparent": Attribute("String", "00-own")}
    properties = sent(attributes=own, trace_header=TRACE).properties
    assert (properties["traceparent"], properties["Diagnostic-Id"]) == ("00-own", PARENT)


@pytest.mark.parametrize(
    "header", ["", "Root=1-5759e988-bd862e3fe1be46a994272793", TRACE.replace("=1-", "=2-"), TRACE.replace("8;S", ";S")]
)
def test_half_a_trace_is_none(header: str) -> None:
    assert trace_parent(header) is None


def test_a_trace_that_was_not_sampled_says_so() -> None:
    assert (trace_parent(TRACE.replace("Sampled=1", "Sampled=0")) or "").endswith("-00")


def test_a_group_of_an_ordered_queue_is_the_session() -> None:
    outgoing = sent(SESSIONS, group="customer-1", ordered=True)
    assert outgoing.session_id == "customer-1"
    assert names.GROUP not in outgoing.properties
    assert names.ORDERED not in outgoing.properties


def test_order_is_not_dropped_unasked() -> None:
    with pytest.raises(MessageRefusedError, match="sessions: true"):
        sent(PLAIN, group="g", ordered=True)
    assert sent(MappingRules(drop_order=True), group="g", ordered=True).session_id is None


@pytest.mark.parametrize("fields", [{}, {"ordered": True}])
def test_a_session_is_not_made_up(fields: dict[str, Any]) -> None:
    with pytest.raises(MessageRefusedError, match="group"):
        sent(SESSIONS, **fields)


def test_properties_that_are_too_large_are_refused_by_name() -> None:
    with pytest.raises(MessageRefusedError, match="property a has 32768 bytes"):
        attribute("String", "x" * 32_768)
    many = {f"a{number}": Attribute("String", "x" * 16_384) for number in range(4)}
    with pytest.raises(MessageRefusedError, match="together"):
        sent(attributes=many)


def test_text_that_no_encoding_carries_is_refused_without_being_told() -> None:
    with pytest.raises(MessageRefusedError) as refused:
        sent(body="secret\ud800")
    assert "secret" not in str(refused.value)


def test_an_attribute_whose_value_is_not_of_its_type_is_refused() -> None:
    for kind, value in (("Binary", "x"), ("String", b"x")):
        with pytest.raises(MessageRefusedError, match="attribute a"):
            attribute(kind, value)
