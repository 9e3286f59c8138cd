"""Promises of the page: nothing is loaded, nothing given is taken for markup, and what is unknown is said to be."""

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from replicator.api.access import Access
from replicator.api.app import create_app
from replicator.api.report import router
from replicator.cli import report as command
from replicator.config.models import (
    MigrationConfig,
    PipelineConfig,
    SourceConfig,
    TargetConfig,
    TriggerConfig,
    TriggerSideConfig,
)
from replicator.cutover import Cutover, Watch
from replicator.cutover.switched import Attempt, Stage, Step, Switched, Taken
from replicator.engine.rounds import Note as Verification
from replicator.errors import ConfigurationError
from replicator.model import Phase, PipelineState
from replicator.report import Evidence, Report
from replicator.report.freezing import Frozen, since
from replicator.report.gathering import Stored, pipeline_report
from replicator.report.history import Ended, History, Lags, Seen
from replicator.report.model import DeadLetters, Lag, LagPoint, LettersOf, OperatorAction, WayBack
from replicator.report.page import page
from replicator.report.picture import lag_picture
from replicator.report.steps import FORCED, Known, switch_report
from replicator.report.words import duration, number, size, text
from replicator.status import NamedDrain, PipelineStatus
from replicator.triggers.note import Note, Signed

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NASTY = "<script>alert(1)</script>\"'&"
PIPELINE = PipelineConfig(source=SourceConfig(type="scripted"), target=TargetConfig(type="memory"))


DRAIN = NamedDrain(
    fence=T0, released=False, drained_at=None, in_the_way=[], late=3, late_at=T0, late_keys=["eve"]
)  # fmt: skip
SEALED = PipelineState(epoch=1, phase=Phase.SEALED, fence=T0, drained_at=T0, sealed_at=T0 + timedelta(seconds=9))


def report_of(history: History, words: str = "too large", *, known: Known | None = None) -> Report:
    """One pipeline with this history."""
    known = known or Known(None, Note(), {"orders": PipelineState(epoch=1, failure=words)}, [])
    state = known.states["orders"]
    stored = Stored(
        name="orders",
        config=PIPELINE,
        state=state,
        status=None,
        history=history,
        verification=Verification(clean_since=T0),
        letters=DeadLetters(open=1, letters=[LettersOf(reason=words, outcome="open", count=1)]),
        judged=None,
        drain=DRAIN.model_copy(update={"late_keys": [words]}) if state.fence else None,
    )
    return Report(
        migration="shop", migration_id="m1", written_at=T0, began_at=None, strategy="minimized downtime",
        phase=state.phase, ready=None, keys="plain", pipelines={"orders": pipeline_report(stored, known, None)},
        actions=[OperatorAction(at=T0, actor=words, name=words, pipeline=words, detail=words)],
        actions_left_out=False, switch=switch_report(known), estimated_at=None,
    )  # fmt: skip


def full(words: str) -> Report:
    """With every part that is optional."""
    lags = Lags()
    for n in range(30):
        lags.take(T0 + timedelta(seconds=10 * n), None if n < 3 else 4000.0 / (n + 1))
    ended = Ended(
        T0, T0, clean=False, sample=9, contents=True, repair=True, compared=1, scanned=2, differences=3, repaired=4,
        unsettled=5, foreign=6,
    )  # fmt: skip
    taken = [Taken(step=Step.CORDON, began_at=T0, ended_at=T0), Taken(step=Step.DRAIN, began_at=T0, expected_s=4)]
    undone = Attempt(began_at=T0, by=words, max_pause_s=4, stage=Stage.UNDONE, steps=taken, reason=words, undone_at=T0)
    known = Known(
        Switched(began_at=T0, by=words, max_pause_s=10, stage=Stage.DONE, steps=taken, attempt=2, earlier=[undone]),
        Note([], {f"{words}.aws": Signed(enabled=False, who=words, at=T0)}, T0),
        {"orders": replace(SEALED, drained_at=None, failure=words)},
        [OperatorAction(at=T0, actor=words, name=FORCED, pipeline="", detail=words)],
        {words: TriggerConfig(aws=TriggerSideConfig(type="manual"))},
    )
    live = report_of(History(lags=lags, moments=[Seen(T0, words, words)], rounds=[ended]), words, known=known)
    frozen = Frozen(at=T0, last_action=0, text=live.model_dump_json())
    live = live.model_copy(update={"written_at": T0 + timedelta(hours=1)})
    came = since(frozen, live, live, live.actions, more=True)
    way = WayBack(reads=words, before_activation=T0, at_seal=None, doubt=words)
    came = came.model_copy(update={"way_back": {words: way}, "problems": {words: [words]}})
    return live.model_copy(update={"since_seal": came})


class Tags(HTMLParser):
    """Every tag is closed in its order; what there is is kept."""

    VOID = frozenset({"meta"})

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(markup)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("report", [report_of(History()), full("plain"), full(NASTY)], ids=["empty", "full", "nasty"])
def test_it_is_well_formed_and_loads_nothing(report: Report) -> None:
    markup = page(report)
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(Tags(markup).seen)
    assert not re.search(r"https?://|url\(|@import", markup)


def test_nothing_given_is_taken_for_markup() -> None:
    markup = page(full(NASTY))
    assert markup.count(text(NASTY)) > 12
    assert NASTY not in markup
    assert "\x1b" not in page(full("a\x1b[31mb"))


def test_what_is_not_known_is_said() -> None:
    markup = page(report_of(History()))
    for said in (
        'The switch: <span class="unknown">not done yet</span>',
        "readiness unknown",
        "No round has ended yet.",
        "No lag has been seen yet.",
        'Changes applied</dt><dd><span class="unknown">unknown',
        'The drain: <span class="unknown">not done yet',
    ):
        assert said in markup


def test_the_picture_breaks_where_nothing_is_known_and_stays_within_its_frame() -> None:
    seconds = {0: 5.0, 10: 900.0, 20: None, 30: 1.0, 100: 0.0}
    points = [LagPoint(at=T0 + timedelta(seconds=s), worst_s=lag, unknown=lag is None) for s, lag in seconds.items()]
    drawn = lag_picture(Lag(step_s=10, worst_s=900, points=points), "orders")
    assert (drawn.count('class="lag"'), drawn.count('class="no-lag"')) == (3, 1)
    assert "Lag of orders over time: worst 15 min, latest 0.0 s" in drawn
    places = [float(x) for d in re.findall(r'class="lag" d="M([^"]+)"', drawn) for x in re.split(r"[HL ]", d)]
    assert 0 <= min(places) <= max(places) <= 1000


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0.0 s"), (9.94, "9.9 s"), (59, "59 s"), (59.7, "1 min"), (61, "1 min 1 s"), (3600, "1 h"),
     (5400, "1 h 30 min"), (90_000, "1 d 1 h"), (86_460, "1 d")],
)  # fmt: skip
def test_durations_are_told_in_two_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_figures_are_told_as_people_write_them() -> None:
    assert [number(n) for n in (0, 1_234_567, 12.345, 0.5)] == ["0", "1,234,567", "12.3", "0.5"]
    assert [size(n) for n in (0, 999, 1500, 64_000_000, 999_999)] == ["0 B", "999 B", "1.5 kB", "64 MB", "1 MB"]
    assert "unknown" in number(None)


class Reporting:
    """A daemon that reports."""

    def __init__(self) -> None:
        self.config = MigrationConfig(migration="shop", pipelines={"orders": PIPELINE})
        self.statuses: dict[str, PipelineStatus] = {}

    def cutover(self) -> Cutover:
        return Watch(self.config).judge()

    async def report(self) -> Report:
        return full("plain")

    def evidence(self) -> Evidence:
        raise ConfigurationError("report", "the migration is not sealed yet", "Seal it")


async def test_the_report_is_for_whoever_has_the_token_and_the_page_may_load_nothing() -> None:
    app = create_app(Reporting(), CollectorRegistry(), router(Reporting(), Access(SecretStr("sixteen characters"))))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://daemon") as client:
        for path in ("/v1/report", "/v1/report.html", "/v1/report/evidence"):
            assert (await client.get(path)).status_code == 401
        client.headers["Authorization"] = "Bearer sixteen characters"
        assert Report.model_validate((await client.get("/v1/report")).json()) == full("plain")
        shown = await client.get("/v1/report.html")
        assert (await client.get("/v1/report/evidence")).status_code == 409
    assert shown.text == page(full("plain"))
    assert shown.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert shown.headers["Content-Type"] == "text/html; charset=utf-8"


def test_the_command_writes_all_files_and_the_evidence_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The document as the daemon gives it, members that only a newer one knows included."""
    evidence = Evidence(at=T0, sha256="ab", evidence='{"a":  "\u00fc\r\n"}').model_dump(mode="json")
    answer = {**full("plain").model_dump(mode="json"), "newer": 1}
    answers = {"/v1/report": answer, "/v1/report/evidence": evidence}
    monkeypatch.setattr(command, "call", lambda _url, path, *_: answers[path])
    command.write_report("http://daemon", tmp_path / "a" / "b")
    assert '"newer": 1' in (tmp_path / "a/b/report.json").read_text()
    assert (tmp_path / "a/b/report.html").read_text() == page(full("plain"))
    assert (tmp_path / "a/b/evidence.json").read_bytes() == evidence["evidence"].encode()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        command.write_report("http://daemon", tmp_path / "file")
    answer["since_seal"] = None
    command.write_report("http://daemon", tmp_path / "unsealed")
    assert not (tmp_path / "unsealed/evidence.json").exists()
    del answer["migration_id"]
    with pytest.raises(ConfigurationError, match="migration_id"):
        command.write_report("http://daemon", tmp_path)


def test_what_came_after_the_seal_is_marked_and_the_rest_is_said_to_be_frozen() -> None:
    markup = page(full("plain"))
    evidence, _, after = markup.partition('<section id="since">')
    assert "This is the evidence as it was at" in evidence
    assert "late writes after the seal: 3" in evidence, "nobody overlooks it, though it came later"
    for said in ("What operators did since", "Entry points now", full("plain").since_seal.evidence_sha256):  # type: ignore[union-attr]
        assert said in after
        assert said not in evidence
    assert "After the seal" not in page(report_of(History()))


def test_a_seal_by_force_and_a_switch_that_was_undone_are_plain_to_see() -> None:
    markup = page(full("no time left"))
    assert '<span class="badge bad">sealed by force</span> no time left' in markup
    assert '<span class="badge good">sealed' not in markup
    assert "Switches that were undone" in markup
    assert "not proven" in markup


def test_the_hash_is_that_of_the_text() -> None:
    frozen = Frozen(at=T0, last_action=0, text='{"a": "\u00fc"}')
    assert frozen.sha256 == hashlib.sha256(frozen.evidence.evidence.encode()).hexdigest()
