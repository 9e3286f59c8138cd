"""The config of a shop's migration."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from scenarios import bucket_world, queue_world
from scenarios.furnishing import APP, TO_LAMBDA
from scenarios.migration import config_of
from scenarios.world import SOURCE

if TYPE_CHECKING:
    from scenarios.shop import QueueOf, Shop

DATABASE, DOCUMENTS, BLOBS = "shop", "orders", "media"

SYNC = {"sync": {"max_lag_s": 15, "steady_s": 1}}


def config(s: Shop, mode: str) -> dict[str, Any]:
    waived = {"waive": {"verification": "the switch compares", "foreign": "this is a rehearsal"}}
    pipelines = {"orders": _orders(s, mode), "media": _media(s, mode)}
    pipelines |= {name: _queue_pipeline(s, name, queue, mode) for name, queue in s.queues.items()}
    made = config_of({name: {**pipeline, "cutover": waived} for name, pipeline in pipelines.items()})
    made["http"]["listen"] = f"127.0.0.1:{lasting_port()}"
    made["triggers"] = triggers(s)
    return made


def lasting_port() -> int:
    """One that stays free while the daemon is restarted: the system gives none below 32768 away by itself."""
    for port in random.sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("no port is free")


def _orders(s: Shop, mode: str) -> dict[str, Any]:
    source = {"type": "dynamodb", "table": s.table, "endpoint": s.source_proxy.endpoint, **SOURCE}
    target = {
        "type": "cosmos",
        "endpoint": s.cosmos.endpoint,
        "key": "${COSMOS_KEY}",
        "database": DATABASE,
        "container": DOCUMENTS,
        "partition_key": ["/customer"],
        "create": True,
    }
    sync = SYNC if mode == "sync" else {}
    return {"mode": mode, "discover_interval_s": 1, "source": source, "target": target, **sync}


def _media(s: Shop, mode: str) -> dict[str, Any]:
    queue = s.urls["media-events"].rsplit("/", 1)[1]
    source = {"type": "s3", "bucket": s.bucket, "notifications": queue, "endpoint": s.aws.endpoint}
    target = {
        "type": "blob",
        "endpoint": s.azurite.endpoint,
        "key": "${BLOB_KEY}",
        "container": BLOBS,
        "create": True,
    }
    reached = {"sqs_endpoint": s.aws.endpoint, "counts_lag_s": 0.5}
    sync = SYNC if mode == "sync" else {}
    return {"mode": mode, "source": {**source, **reached, **bucket_world.SOURCE}, "target": target, **sync}


def _queue_pipeline(s: Shop, name: str, queue: QueueOf, mode: str) -> dict[str, Any]:
    called = s.urls[f"{name}-mirror" if queue.fanned else name].rsplit("/", 1)[1]
    source = {"type": "sqs", "queue": called, "endpoint": s.aws.endpoint, **queue_world.SOURCE}
    target = {
        "type": "servicebus",
        "queue": name,
        "connection_string": "${SERVICEBUS}",
        "management_endpoint": s.broker.http_endpoint,
    }
    sync = SYNC if mode == "sync" else {}
    return {"mode": mode, **sync, "source": {**source, "consume": queue.consume}, "target": target}


def triggers(s: Shop) -> dict[str, Any]:
    """Each entry point with its twin, in the order of the shop."""
    at_aws = {"endpoint": s.aws.endpoint, "region": s.aws.region}

    def twin(name: str) -> dict[str, Any]:
        place = {"endpoint": s.arm.endpoint, "token": s.arm.token, "app": s.arm.app_id(APP), "settle_s": 20}
        return {"type": "function", "function": s.function(name), **place}

    def mapping(name: str) -> dict[str, Any]:
        return {"type": "event_source_mapping", "uuid": s.mappings[name], **at_aws}

    found: dict[str, Any] = {"orders": {"pipeline": "orders", "aws": mapping("orders"), "azure": twin("orders")}}
    notification = {"type": "s3_notification", "bucket": s.bucket, "id": TO_LAMBDA, **at_aws}
    found["uploads"] = {"pipeline": "media", "aws": notification, "azure": twin("uploads")}
    for name, queue in s.queues.items():
        if queue.twins:
            found[name] = {"pipeline": name, "aws": mapping(name), "azure": twin(name)}
    ((kind, name),) = s.ticking.items()
    found["nightly"] = {"aws": {"type": kind, "name": name, **at_aws}, "azure": twin("nightly")}
    return found
