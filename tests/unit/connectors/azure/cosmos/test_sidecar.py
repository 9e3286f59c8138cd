"""Promises of the sidecar."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.azure.cosmos.sidecar import SIDECAR, Sidecar, expired, is_ours, is_tombstone, sidecar
from strategies import texts

instants = st.timedeltas(timedelta(0), timedelta(days=80_000)).map(
    lambda since: datetime(1970, 1, 1, tzinfo=UTC) + since
)
sidecars = st.builds(
    Sidecar,
    digest=texts,
    version=texts,
    committed_at=st.none() | instants,
    expires_at=st.none() | instants.map(lambda instant: instant.replace(microsecond=0)),
    kinds=st.none() | st.just({"a": "B"}),
    restores_id=st.booleans(),
    deleted=st.booleans(),
    held=st.booleans(),
)
LEGAL = {"v": 1, "digest": "d", "version": "7"}


@given(sidecars)
def test_a_sidecar_is_read_back(note: Sidecar) -> None:
    assert sidecar({"id": "x", SIDECAR: note.write()}) == note


def test_what_is_absent_is_left_out() -> None:
    assert Sidecar(digest="d", version="7", kinds={}).write() == LEGAL


def test_instants_are_written_in_utc() -> None:
    instant = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert Sidecar(digest="d", version="7", committed_at=instant).write()["at"] == "2026-01-01T00:00:00+00:00"


def test_numbers_may_come_back_as_doubles() -> None:
    assert sidecar({SIDECAR: {**LEGAL, "v": 1.0, "expires": 60.0}}) == Sidecar(
        digest="d", version="7", expires_at=datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"v": 2}, "v"),
        ({"v": None}, "v"),
        ({"digest": None}, "digest"),
        ({"version": 7}, "version"),
        ({"types": "B"}, "types"),
        ({"at": "yesterday"}, "at"),
        ({"at": "2026-01-01T00:00:00"}, "at"),
        ({"expires": "soon"}, "expires"),
        ({"expires": 10**18}, "expires"),
        ({"id": 1}, "id"),
        ({"deleted": "yes"}, "deleted"),
        ({"held": None}, "held"),
    ],
)
def test_a_malformed_sidecar_is_refused_by_the_member_s_name(change: dict[str, object], where: str) -> None:
    with pytest.raises(ValueError, match=rf"^_replicator\.{where}: "):
        sidecar({SIDECAR: {**LEGAL, **change}})


@pytest.mark.parametrize("body", [{}, {SIDECAR: None}, {SIDECAR: []}, {SIDECAR: "x"}])
def test_a_document_without_a_sidecar_has_none_to_read(body: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^_replicator: "):
        sidecar(body)
    assert not is_tombstone(body)
    assert is_ours(body) == bool(body)


def test_a_record_is_expired_from_its_instant_on() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    body = {SIDECAR: Sidecar(digest="d", version="7", expires_at=at).write()}
    assert not expired(body, at - timedelta(seconds=1))
    assert expired(body, at)
    assert not expired({SIDECAR: LEGAL}, at)
