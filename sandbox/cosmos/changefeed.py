"""Change feeds: latest version, and all versions and deletes."""

from __future__ import annotations

import json
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from sandbox.cosmos.errors import bad_request
from sandbox.cosmos.query.execution import Page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.cosmos.container import Container
    from sandbox.cosmos.feeds import Change
    from sandbox.cosmos.items import Partition
    from sandbox.cosmos.scope import Scope

LATEST = "incremental feed"
ALL_VERSIONS = "full-fidelity feed"
_POSITION = re.compile(r'^"?(\d+)"?$')


def read_feed(container: Container, scope: Scope, headers: Mapping[str, str], most: int) -> Page:
    """Answer one page of at most `most` changes of one physical partition.

    The page's continuation is the ETag to go on from; a page without documents is to be answered
    with 304. Raises CosmosError 400 for a start the mode does not allow or a mode that is unknown.
    """
    mode = headers.get("a-im", "").strip().lower()
    if mode not in {LATEST, ALL_VERSIONS}:
        raise bad_request(f"The change feed mode {mode!r} is not known.")
    if not scope.single:
        raise bad_request("A change feed request must name one partition key range or partition key.")
    start = _start(scope.partitions[0], headers, mode)
    if mode == LATEST:
        return _read_latest(scope, start, _since(headers), most)
    return _read_all_versions(container, scope, start, most)


def _start(partition: Partition, headers: Mapping[str, str], mode: str) -> int:
    position = headers.get("if-none-match")
    if position == "*":
        return partition.lsn
    if position is None:
        if mode == ALL_VERSIONS:
            raise bad_request("All versions and deletes can be read from now or from a continuation only.")
        return 0
    match = _POSITION.match(position)
    if match is None:
        raise bad_request(f"The continuation {position!r} is not valid.")
    return int(match[1])


def _since(headers: Mapping[str, str]) -> int:
    text = headers.get("if-modified-since")
    if text is None:
        return 0
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except ValueError as error:
        raise bad_request(f"The date {text!r} is not valid.") from error


def _read_latest(scope: Scope, start: int, since_s: int, most: int) -> Page:
    partition = scope.partitions[0]
    page = Page()
    for item in partition.latest.after(start):
        if page.full(most):
            return page
        page.continuation = f'"{item.lsn}"'
        page.examined += 1
        if item.ts >= since_s and scope.includes(item.home):
            page.add(b'%b,"_lsn":%d}' % (item.body[:-1], item.lsn))
    page.continuation = f'"{max(start, partition.lsn)}"'
    return page


def _read_all_versions(container: Container, scope: Scope, start: int, most: int) -> Page:
    partition = scope.partitions[0]
    if not partition.versions.enabled:
        raise bad_request("All versions and deletes needs continuous backup, which is off here.")
    if start < partition.versions.trimmed_lsn:
        raise bad_request("The continuation is older than what is retained for all versions and deletes.")
    page = Page()
    for change in partition.versions.after(start):
        if page.full(most):
            return page
        page.continuation = f'"{change.lsn}"'
        page.examined += 1
        if scope.includes(change.home):
            page.add(_describe(container, change))
    page.continuation = f'"{max(start, partition.lsn)}"'
    return page


def _describe(container: Container, change: Change) -> bytes:
    """One change on the wire: `current` is empty for deletes, which carry id and key in `metadata`."""
    metadata: dict[str, object] = {
        "lsn": change.lsn,
        "crts": change.ts,
        "operationType": change.operation,
    }
    if change.previous_lsn is not None:
        metadata["previousImageLSN"] = change.previous_lsn
    if change.operation == "delete":
        metadata["id"] = change.id
        metadata["partitionKey"] = container.named_key(change.home.key)
    if change.expired:
        metadata["timeToLiveExpired"] = True
    parts = [b'{"current":', change.current or b"{}"]
    if change.previous is not None:
        parts += [b',"previous":', change.previous]
    return b"".join([*parts, b',"metadata":', json.dumps(metadata).encode(), b"}"])
