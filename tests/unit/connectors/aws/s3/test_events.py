"""Every shape of a notification names its keys; what is none is told apart and never raises anything else."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.aws.s3.events import NoNotificationError, ObjectEvent, read_notification
from connectors.aws.s3.ranges import LONGEST_KEY_BYTES
from sandbox.workload import object_keys

AT = "2026-11-23T08:00:00.123Z"
MOMENT = datetime(2026, 11, 23, 8, 0, 0, 123000, tzinfo=UTC)

keys = st.sampled_from([key for _, key in object_keys()]) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20
)


def classic(key: str, name: str = "ObjectCreated:Put", **more: Any) -> dict[str, Any]:
    """As S3 sends it to a queue."""
    object_ = {"key": quote_plus(key, safe="/"), "size": 1, "eTag": "e", "sequencer": "00"}
    return {
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1", "eventTime": AT, "eventName": name,
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": "media", "arn": "arn:aws:s3:::media"}, "object": object_},
        **more,
    }  # fmt: skip


def bridged(key: str, kind: str = "Object Created", **more: Any) -> dict[str, Any]:
    """As EventBridge hands it on."""
    return {
        "version": "0", "id": "i", "detail-type": kind, "source": "aws.s3", "time": "2026-11-23T08:00:00Z",
        "detail": {"version": "0", "bucket": {"name": "media"}, "object": {"key": key}, "reason": "PutObject"}, **more,
    }  # fmt: skip


def wrapped(message: object) -> str:
    """As SNS hands it on without raw delivery."""
    return json.dumps({"Type": "Notification", "MessageId": "m", "Message": json.dumps(message)})


def events_of(message: object) -> list[ObjectEvent]:
    return read_notification(json.dumps(message))


@given(keys)
def test_keys_come_back_in_every_shape(key: str) -> None:
    told = ObjectEvent("media", key, MOMENT)
    assert events_of({"Records": [classic(key)]}) == [told]
    assert read_notification(wrapped({"Records": [classic(key)]})) == [told]
    fully = classic(key)
    fully["s3"]["object"]["key"] = quote(key, safe="")
    assert events_of({"Records": [fully]}) == [told]
    as_it_is = ObjectEvent("media", key, MOMENT.replace(microsecond=0))
    assert events_of(bridged(key)) == [as_it_is]
    assert read_notification(wrapped(bridged(key))) == [as_it_is]


def test_several_records_are_several_events() -> None:
    assert [event.key for event in events_of({"Records": [classic("a b"), classic("c+d")]})] == ["a b", "c+d"]


@pytest.mark.parametrize(
    "name",
    [
        "ObjectCreated:CompleteMultipartUpload", "ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated",
        "LifecycleExpiration:Delete", "LifecycleExpiration:DeleteMarkerCreated", "LifecycleTransition",
        "ObjectTagging:Put", "ObjectTagging:Delete", "ObjectRestore:Completed", "ObjectAcl:Put", "SomethingNew:Done",
    ],
)  # fmt: skip
def test_the_kind_does_not_matter(name: str) -> None:
    assert [event.key for event in events_of({"Records": [classic("k", name)]})] == ["k"]


def test_what_a_removal_or_another_version_leaves_out_or_adds_does_not_matter() -> None:
    record = classic("k", eventVersion="2.9", glacierEventData={}, novel=[1])
    record["s3"]["object"] = {"key": "k"}
    assert events_of({"Records": [record]}) == [ObjectEvent("media", "k", MOMENT)]
    del record["eventVersion"], record["eventTime"]
    assert events_of({"Records": [record]}) == [ObjectEvent("media", "k", None)]
    assert events_of(bridged("k", "Object Tags Added", time="soon")) == [ObjectEvent("media", "k", None)]


@pytest.mark.parametrize(
    ("event", "by_service"),
    [
        (classic("k", "ObjectCreated:Put"), False),
        (classic("k", "ObjectRemoved:Delete"), False),
        (classic("k", "ObjectTagging:Put"), False),
        (classic("k", "SomethingNew:Done"), False),
        (classic("k", "s3:LifecycleExpiration:Delete"), True),
        (classic("k", "LifecycleExpiration:DeleteMarkerCreated"), True),
        (classic("k", "LifecycleTransition"), True),
        (classic("k", "ObjectRestore:Completed"), True),
    ],
)
def test_what_nobody_wrote_is_told_apart(event: dict[str, Any], by_service: bool) -> None:
    """Whatever is not known counts as written."""
    assert [found.by_service for found in events_of({"Records": [event]})] == [by_service]


def test_eventbridge_tells_expiries_apart_by_their_reason() -> None:
    deleted, expired = bridged("k", "Object Deleted"), bridged("k", "Object Deleted")
    deleted["detail"]["reason"], expired["detail"]["reason"] = "DeleteObject", "Lifecycle Expiration"
    kinds = [deleted, expired, bridged("k", "Object Created"), bridged("k", "Object Storage Class Changed")]
    assert [events_of(kind)[0].by_service for kind in kinds] == [False, True, False, True]


def test_a_test_event_says_nothing() -> None:
    told = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": AT, "Bucket": "media", "RequestId": "r"}
    assert events_of(told) == []
    assert read_notification(wrapped(told)) == []


@pytest.mark.parametrize(
    "body",
    [
        "", "hello", "[]", "1", "null", '"text"', "{}", "[" * 100_000, '{"Records": 1}', '{"Records": [1]}',
        '{"Records": [{}]}', '{"source": "aws.s3", "detail": null}', '{"source": "aws.ec2", "detail": {}}',
        '{"Type": "Notification", "Message": "hello"}', '{"Type": "SubscriptionConfirmation", "Message": "x"}',
        json.dumps({"Records": [classic("k", eventSource="aws:ses")]}),
        json.dumps({"Records": [classic("k", eventSource=1)]}),
        json.dumps({"Records": [classic("k", eventVersion="3.0")]}),
        json.dumps({"Records": [classic("k", s3={"bucket": {"name": "media"}, "object": {"key": "%ff"}})]}),
        json.dumps({"Records": [classic("k", s3={"bucket": {"name": "media"}, "object": {"key": ""}})]}),
        json.dumps({"Records": [classic("k", s3={"bucket": {"name": "media"}, "object": {"key": 1}})]}),
        json.dumps({"Records": [classic("k", s3={"bucket": {"name": 1}, "object": {"key": "k"}})]}),
        json.dumps(bridged("\ud800")), json.dumps(bridged("k" * (LONGEST_KEY_BYTES + 1))), json.dumps(bridged("")),
    ],
    ids=lambda body: body[:30],
)  # fmt: skip
def test_what_is_no_notification_is_told_so_without_its_text(body: str) -> None:
    with pytest.raises(NoNotificationError) as told:
        read_notification(body)
    assert "hello" not in str(told.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.sampled_from(["Records", "detail", "s3", "Message", "Event"]))
def test_nothing_else_is_ever_raised(value: Any, member: str) -> None:
    for told in (
        value,
        {member: value},
        {"source": "aws.s3", member: value},
        {"Records": [{"eventSource": "aws:s3", member: value}]},
    ):
        with suppress(NoNotificationError):
            events_of(told)


@pytest.mark.parametrize("broken", [{}, 7, {"eventSource": "aws:sns"}, classic("x" * (LONGEST_KEY_BYTES + 1))])
def test_what_cannot_be_read_takes_no_other_event_with_it(broken: object) -> None:
    """The message is deleted with all its records: those that can be read are looked at first."""
    with pytest.raises(NoNotificationError) as told:
        events_of({"Records": [classic("a"), broken, classic("b")]})
    assert [event.key for event in told.value.read] == ["a", "b"]
