"""Promises of the findings: each says what was found, and what to do where something is to be done."""

from dataclasses import replace
from typing import Any

import pytest

from connectors.azure.cosmos.account import Account
from connectors.azure.cosmos.check import Looked, findings
from connectors.azure.cosmos.containers import Existing
from fakes.cosmos_bench import RULES
from fakes.targets import WHERE, cosmos_config
from replicator.model import Finding, Marker, Severity

ENDPOINT = "https://shop.documents.azure.com:443/"
WEST = "https://shop-westeurope.documents.azure.com:443/"
NORTH = "https://shop-northeurope.documents.azure.com:443/"

ACCOUNT = Account("Session", several_write_regions=False, writable=(WEST,), readable=(WEST, NORTH))
CONTAINER: dict[str, Any] = {"defaultTtl": -1, "partitionKey": {"paths": ["/pk"], "version": 2}}

FINE = Looked(
    config=cosmos_config(ENDPOINT),
    account=ACCOUNT,
    existing=Existing(CONTAINER, {"partitionKey": {"paths": ["/id"]}}),
    rules=RULES,
    marker=None,
    empty=True,
)


def worst(looked: Looked) -> list[Finding]:
    """What is not fine."""
    found = findings(looked, WHERE)
    assert all(f.where == WHERE for f in found)
    assert all(bool(f.fix) == (f.severity is not Severity.OK) for f in found), "a fix where there is one to be made"
    return [f for f in found if f.severity is not Severity.OK]


def with_container(**properties: Any) -> Looked:
    kept = {name: value for name, value in {**CONTAINER, **properties}.items() if value is not None}
    return replace(FINE, existing=replace(FINE.existing, container=kept))


def test_what_is_fine() -> None:
    assert worst(FINE) == []


def test_missing_containers_are_fine_where_they_may_be_made() -> None:
    missing = replace(FINE, existing=Existing(None, None))
    assert worst(missing) == []
    assert sum("is missing and will be created" in f.message for f in findings(missing, WHERE)) == 2


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        ("Strong", None),
        ("BoundedStaleness", None),
        ("Session", None),
        ("ConsistentPrefix", Severity.WARNING),
        ("Eventual", Severity.WARNING),
        ("unknown", Severity.WARNING),
    ],
)
def test_reads_must_see_what_was_written(level: str, severity: Severity | None) -> None:
    found = worst(replace(FINE, account=replace(ACCOUNT, consistency=level)))
    assert [f.severity for f in found] == ([severity] if severity else [])
    assert all(level in f.message for f in found)


@pytest.mark.parametrize(
    ("several", "endpoint", "warned"),
    [
        (False, ENDPOINT, False),
        (True, ENDPOINT, True),
        (True, WEST, False),
        (True, WEST.removesuffix(":443/").upper().replace("HTTPS", "https"), False),
    ],
)
def test_writes_must_go_to_one_region(several: bool, endpoint: str, *, warned: bool) -> None:
    account = replace(ACCOUNT, several_write_regions=several, writable=(WEST, NORTH))
    found = worst(replace(FINE, account=account, config=cosmos_config(endpoint)))
    assert [f.severity for f in found] == ([Severity.WARNING] if warned else [])
    assert all(WEST in f.fix and NORTH in f.fix for f in found)


@pytest.mark.parametrize(
    ("properties", "severity", "said"),
    [
        ({"defaultTtl": None}, Severity.WARNING, "has no time to live"),
        ({"uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/email"]}]}}, Severity.WARNING, "has unique keys"),
        ({"uniqueKeyPolicy": {"uniqueKeys": []}}, None, ""),
        ({"partitionKey": {"paths": ["/pk"]}}, Severity.NOTE, "takes no values above 101 bytes"),
        ({"partitionKey": {"paths": ["/pk"], "version": 1}}, Severity.NOTE, "takes no values above 101 bytes"),
    ],
)
def test_settings_of_the_container(properties: dict[str, Any], severity: Severity | None, said: str) -> None:
    found = worst(with_container(**properties))
    assert [f.severity for f in found] == ([severity] if severity else [])
    assert all(said in f.message for f in found)


@pytest.mark.parametrize(
    ("marker", "empty", "severity", "said"),
    [
        (None, True, None, ""),
        (None, False, Severity.ERROR, "is not empty, and no migration has claimed it"),
        (Marker("m7", 3, "g"), False, Severity.NOTE, "is claimed by migration m7 in epoch 3"),
        (Marker("m7", 3, "g"), True, Severity.NOTE, "is claimed by migration m7 in epoch 3"),
    ],
)
def test_who_may_write_the_container(
    marker: Marker | None, severity: Severity | None, said: str, *, empty: bool
) -> None:
    """A run would refuse a container that is not empty and unclaimed, whatever its state store knows."""
    found = worst(replace(FINE, marker=marker, empty=empty))
    assert [f.severity for f in found] == ([severity] if severity else [])
    assert all(said in f.message for f in found)


@pytest.mark.parametrize(
    ("endpoint", "writable", "only_reads"),
    [
        (ENDPOINT, False, False),
        (WEST, True, False),
        ("https://shop-westeurope.documents.azure.com", True, False),
        (NORTH, False, True),
        ("http://shop-northeurope.documents.azure.com:443", False, True),
    ],
)
def test_regions_are_known_by_their_endpoints(endpoint: str, *, writable: bool, only_reads: bool) -> None:
    assert ACCOUNT.is_writable_region(endpoint) is writable
    assert ACCOUNT.only_reads(endpoint) is only_reads
