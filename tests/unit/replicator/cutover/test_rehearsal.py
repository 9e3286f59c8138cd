"""Promises of the rehearsal: the same config but for places and secrets, sealed cleanly, not long ago, or it fails."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from unit.docs.pages import text

from connectors import registry
from fakes.evidence import evidence
from replicator.config.loading import parse_config
from replicator.config.models import CutoverConfig, MigrationConfig, RehearsalConfig
from replicator.cutover import Check, Cutover, Outcome, Watch
from replicator.cutover.fingerprint import Fingerprint, differing, fingerprint
from replicator.cutover.readiness import judge
from replicator.cutover.rehearsal import Claim, End, Rehearsal, against
from replicator.cutover.whole import WHOLE_CHECKS, Whole

NOW = datetime(2026, 1, 31, tzinfo=UTC)
SECRETS = {"COSMOS_KEY": "c2VjcmV0", "REPLICATOR_TOKEN": "sixteen characters"}
EXAMPLE = yaml.safe_load(text("docs/config.example.yaml"))


def parsed(tree: dict[str, Any], **secrets: str) -> MigrationConfig:
    return parse_config(yaml.safe_dump(tree, sort_keys=False), registry(), {**SECRETS, **secrets})


OWN = fingerprint(parsed(EXAMPLE))


def changed(path: str, value: object) -> MigrationConfig:
    tree = yaml.safe_load(text("docs/config.example.yaml"))
    *parents, last = path.split("/")
    place = tree
    for name in parents:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return parsed(tree)


ELSEWHERE: dict[str, object] = {
    "migration": "rehearsal",
    "state/path": "elsewhere.sqlite",
    "http/listen": "127.0.0.1:9",
    "keys": "hashed",
    "limits/lease_s": 60,
    "cutover/rehearsal": {"is_rehearsal": True},
    "triggers/orders-stream/aws/uuid": "0f9e8d7c-0000-4000-8000-000000000009",
    "triggers/orders-stream/azure/app": "/subscriptions/S/resourceGroups/G/providers/Microsoft.Web/sites/test",
    "triggers/dns/aws/off": ["true"],
    "pipelines/orders/source/table": "orders-test",
    "pipelines/orders/source/region": "us-east-1",
    "pipelines/orders/source/max_read_units": 5,
    "pipelines/orders/source/endpoint": "http://127.0.0.1:1",
    "pipelines/orders/target/endpoint": "https://test.documents.azure.com",
    "pipelines/orders/target/key": "c2VjcmV0Mg==",
    "pipelines/orders/target/database": "test",
    "pipelines/orders/target/max_concurrency": 3,
    "pipelines/media/source/bucket": "media-test",
    "pipelines/media/target/endpoint": "https://test.blob.core.windows.net",
    "pipelines/order-events/source/queue": "test.fifo",
    "pipelines/order-events/target/namespace": "test.servicebus.windows.net",
}
"""What a rehearsal may have otherwise."""

COUNTS: dict[str, tuple[object, str]] = {
    "pipelines/orders/mode": ("sync", "pipelines.orders.mode"),
    "pipelines/orders/target/partition_key": (["/order_id"], "pipelines.orders.target.partition_key"),
    "pipelines/orders/target/id": (["order_id"], "pipelines.orders.target.id"),
    "pipelines/orders/target/foreign": ("remove", "pipelines.orders.target.foreign"),
    "pipelines/media/target/tags": ("none", "pipelines.media.target.tags"),
    "pipelines/order-events/source/consume": ("forward", "pipelines.order-events.source.consume"),
    "pipelines/order-events/target/oversize": ("claim_check", "pipelines.order-events.target.oversize"),
    "pipelines/orders/cutover": ({"waive": {"foreign": "why"}}, "pipelines.orders.cutover.waive"),
    "cutover/max_lag_s": (31, "cutover.max_lag_s"),
    "triggers/nightly/aws": ({"type": "manual", "off": "x", "on": "y"}, "triggers.nightly.aws"),
    "triggers/orders-stream/pipeline": (None, "triggers.orders-stream.pipeline"),
    "triggers/dns": (None, "triggers.dns.aws"),
}
"""What it may not, and what is named then."""


@pytest.mark.parametrize("path", ELSEWHERE)
def test_another_place_another_name_there_and_another_secret_make_no_difference(path: str) -> None:
    assert fingerprint(changed(path, ELSEWHERE[path])) == OWN


@pytest.mark.parametrize("path", COUNTS)
def test_what_decides_what_is_done_does_and_is_named(path: str) -> None:
    value, named = COUNTS[path]
    if path.endswith("oversize"):
        changes = {
            "oversize": value,
            "claim_check": {"endpoint": "https://shop.blob.core.windows.net", "container": "bodies"},
        }
        other = changed("pipelines/order-events/target", {**EXAMPLE["pipelines"]["order-events"]["target"], **changes})
    else:
        other = changed(path, value)
    found = fingerprint(other)
    assert found.sha256 != OWN.sha256
    assert named in differing(found.fields, OWN.fields)


@given(seed=st.integers(0, 2**32), secret=st.text("abcdefghijklmnop", min_size=16, max_size=30))
def test_neither_order_nor_secrets_count(seed: int, secret: str) -> None:
    rng = random.Random(seed)

    def shuffled(tree: Any, *, in_order: bool = False) -> Any:
        if not isinstance(tree, dict):
            return tree
        names = list(tree)
        if not in_order:
            rng.shuffle(names)
        return {name: shuffled(tree[name], in_order=name == "triggers") for name in names}

    assert fingerprint(parsed(shuffled(EXAMPLE), REPLICATOR_TOKEN=secret)) == OWN


def test_the_order_of_triggers_counts_since_they_are_turned_in_it() -> None:
    """What stops the writers comes first: a rehearsal with another order has tried something else."""
    tree = yaml.safe_load(text("docs/config.example.yaml"))
    tree["triggers"] = dict(reversed(tree["triggers"].items()))
    found = fingerprint(parsed(tree))
    assert differing(found.fields, OWN.fields) == ["triggers"]
    assert found.sha256 != OWN.sha256


def test_no_secret_and_no_place_is_in_it() -> None:
    assert not {"c2VjcmV0", "sixteen characters"} & set(str(OWN.fields).split())
    assert "shop" not in str(OWN.fields)


ASIDE = {
    "dynamodb": {
        "table", "region", "profile", "endpoint", "streams_endpoint", "segments", "consistent_read", "max_read_units",
        "poll_interval_s", "idle_margin_s",
    },
    "s3": {
        "bucket", "prefix", "region", "profile", "endpoint", "sqs_endpoint", "addressing", "notifications",
        "partitions", "max_requests_per_s", "receivers", "wait_s", "visibility_timeout_s", "idle_margin_s",
        "counts_lag_s", "relist_interval_s",
    },
    "sqs": {
        "queue", "region", "profile", "endpoint", "receivers", "wait_s", "visibility_timeout_s", "idle_margin_s",
        "counts_lag_s", "s3_buckets", "s3_endpoint",
    },
    "cosmos": {
        "endpoint", "key", "database", "container", "marker_container", "create", "throughput",
        "autoscale_max_throughput",
    },
    "blob": {
        "endpoint", "account", "key", "container", "marker_container", "create", "block_bytes", "block_concurrency",
        "buffer_bytes", "max_bytes_per_s",
    },
    "servicebus": {
        "queue", "namespace", "key_name", "key", "connection_string", "management_endpoint", "websockets", "senders",
        "max_message_bytes", "claim_check", "s3_buckets", "create",
    },
}  # fmt: skip
"""Places, credentials and pace."""

SHARED = {"type", "proxy", "ca_bundle", "foreign", "max_concurrency", "max_request_units"}


@pytest.mark.parametrize("name", ASIDE)
def test_it_was_decided_of_every_field_whether_it_counts(name: str) -> None:
    kinds = registry()
    config = kinds.sources[name].config if name in kinds.sources else kinds.targets[name].config
    assert set(config.model_fields) - SHARED == ASIDE[name] | set(config.rehearsed)
    assert not ASIDE[name] & set(config.rehearsed)


# --- what a report claims


def claim(**changes: Any) -> Claim:
    sealed = NOW - timedelta(days=2)
    end = End(sealed_at=sealed, drained_at=sealed, late=0, records=5)
    good = Claim(
        migration="rehearsal", migration_id="r1", fingerprint=OWN, stage="done", by="ann", began_at=sealed,
        sealed_at=sealed, pause_s=4.0, pipelines=dict.fromkeys(parsed(EXAMPLE).pipelines, end),
    )  # fmt: skip
    ends = {**good.pipelines, **changes.pop("ends", {})}
    return good.model_copy(update={"pipelines": ends, **changes})


def test_a_clean_switch_of_the_same_config_counts() -> None:
    assert against(claim(), OWN.fields, NOW, 30) == []


FORGED = Fingerprint(sha256="ab", fields=OWN.fields)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"stage": None}, "not sealed by a switch"),
        ({"stage": "undone"}, "its switch is undone"),
        ({"sealed_at": None}, "not sealed"),
        ({"sealed_at": NOW - timedelta(days=31)}, "31.0 days old, and at most 30"),
        ({"sealed_at": NOW + timedelta(hours=1)}, "in the future"),
        ({"ends": {"orders": End(sealed_at=NOW, drained_at=None, late=0, records=5)}}, "orders was sealed by force"),
        ({"ends": {"orders": End(sealed_at=NOW, drained_at=NOW, late=3, records=5)}}, "orders had 3 late writes"),
        ({"ends": {"orders": End(sealed_at=NOW, drained_at=NOW, late=None, records=5)}}, "nobody has looked"),
        ({"ends": {"orders": End(sealed_at=None, drained_at=NOW, late=0, records=5)}}, "orders was not sealed"),
        ({"ends": {"orders": End(sealed_at=NOW, drained_at=NOW, late=0, records=0)}}, "orders has moved no record"),
        ({"ends": {"orders": End(sealed_at=NOW, drained_at=NOW, late=0)}}, "orders: nobody has counted what was moved"),
        ({"fingerprint": FORGED}, "the report was changed"),
        ({"fingerprint": fingerprint(changed("pipelines/orders/mode", "sync"))}, "differs in pipelines.orders.mode"),
    ],
)
def test_anything_else_is_refused_with_the_reason(changes: dict[str, object], why: str) -> None:
    (reason,) = against(claim(**changes), OWN.fields, NOW, 30)
    assert why in reason


def test_one_that_names_no_pipeline_does_not_count() -> None:
    unsealed = [f"{name} was not sealed" for name in parsed(EXAMPLE).pipelines]
    assert against(claim(pipelines={}), OWN.fields, NOW, 30) == unsealed


# --- the check

RECORDED = Rehearsal(
    migration="rehearsal", migration_id="r1", fingerprint=OWN, by="ann", sealed_at=NOW - timedelta(days=2),
    pause_s=4.0, recorded_at=NOW, recorded_by="ann",
)  # fmt: skip


def judged(
    recorded: Rehearsal | None, demanded: RehearsalConfig | None = None, fields: dict[str, str] | None = None
) -> Cutover:
    demanded = demanded or RehearsalConfig()
    waived = {"rehearsed": demanded.waived} if demanded.waived else {}
    whole = Whole(demanded, OWN.fields if fields is None else fields, recorded, NOW, waived)
    return judge("shop", {"orders": evidence()}, seen_at=NOW, judged_at=NOW, whole=whole)


def test_one_on_record_passes_with_its_age() -> None:
    found = judged(RECORDED)
    assert (found.ready, found.reasons) == (True, [])
    (check,) = found.checks
    assert (check.name, check.outcome, check.measured, check.limit, check.unit) == (
        "rehearsed",
        Outcome.PASS,
        2,
        30,
        "d",
    )
    assert [check.name] == list(WHOLE_CHECKS)


@pytest.mark.parametrize(
    ("recorded", "fields", "outcome", "measured"),
    [
        (None, OWN.fields, Outcome.FAIL, "none was recorded"),
        (RECORDED.model_copy(update={"sealed_at": NOW - timedelta(days=31)}), OWN.fields, Outcome.FAIL, 31),
        (RECORDED.model_copy(update={"sealed_at": NOW + timedelta(hours=1)}), OWN.fields, Outcome.UNKNOWN, 0),
        (RECORDED, {**OWN.fields, "cutover.steady_s": "1"}, Outcome.FAIL,
         "another config was rehearsed, which differs in cutover.steady_s"),
    ],
    ids=["none", "old", "future", "another"],
)  # fmt: skip
def test_without_one_that_counts_the_migration_is_not_ready_though_its_pipelines_are(
    recorded: Rehearsal | None, fields: dict[str, str], outcome: Outcome, measured: object
) -> None:
    found = judged(recorded, fields=fields)
    assert (found.ready, found.pipelines["orders"].ready) == (False, True)
    assert (found.checks[0].outcome, found.checks[0].measured) == (outcome, measured)
    assert found.reasons[0].startswith(f"shop: rehearsed {'fails' if outcome is Outcome.FAIL else 'is unknown'}")


def test_a_waiver_does_not_hide_what_was_found() -> None:
    found = judged(None, RehearsalConfig(waived="the same was switched last week"))
    assert found.ready
    assert (found.checks[0].outcome, found.checks[0].waived) == (Outcome.FAIL, "the same was switched last week")


def daemon_judges(demanded: RehearsalConfig) -> Check:
    config = parsed(EXAMPLE)
    (check,) = Watch(config.model_copy(update={"cutover": CutoverConfig(rehearsal=demanded)})).judge().checks
    return check


def test_of_a_rehearsal_itself_none_is_demanded_and_readiness_says_so() -> None:
    """The line may have been copied to production with the rest of the config."""
    found = daemon_judges(RehearsalConfig(is_rehearsal=True))
    assert (found.outcome, found.waived) == (Outcome.FAIL, "this migration is a rehearsal itself, by its config")
    assert found.counts_as_passed
    assert not daemon_judges(RehearsalConfig()).counts_as_passed
    assert not CutoverConfig().rehearsal.is_rehearsal, "nor is it the default"
    with pytest.raises(ValueError, match="none is demanded"):
        RehearsalConfig(is_rehearsal=True, waived="why")
