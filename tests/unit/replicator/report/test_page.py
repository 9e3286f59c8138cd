"""Promises of the page: nothing is loaded, nothing given is taken for markup, and what is unknown is said to be."""

import re
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
from replicator.config.models import MigrationConfig, PipelineConfig, SourceConfig, TargetConfig
from replicator.cutover import Cutover, Watch
from replicator.engine.rounds import Note
from replicator.errors import ConfigurationError
from replicator.model import PipelineState
from replicator.report import Report
from replicator.report.gathering import Stored, pipeline_report
from replicator.report.history import Ended, History, Lags, Seen
from replicator.report.model import (
    DeadLetters,
    Lag,
    LagPoint,
    LettersOf,
    OperatorAction,
    Pause,
    StartPosition,
    SwitchReport,
    SwitchStep,
    TriggerReport,
)
from replicator.report.page import page
from replicator.report.picture import lag_picture
from replicator.report.words import duration, number, size, text
from replicator.status import PipelineStatus

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NASTY = "<script>alert(1)</script>\"'&"
PIPELINE = PipelineConfig(source=SourceConfig(type="scripted"), target=TargetConfig(type="memory"))


def report_of(history: History, switch: SwitchReport | None = None, words: str = "too large") -> Report:
    """One pipeline with this history."""
    stored = Stored(
        name="orders",
        config=PIPELINE,
        state=PipelineState(epoch=1, failure=words),
        status=None,
        history=history,
        verification=Note(clean_since=T0),
        letters=DeadLetters(open=1, letters=[LettersOf(reason=words, outcome="open", count=1)]),
        judged=None,
    )
    return Report(
        migration="shop", migration_id="m1", written_at=T0, began_at=None, strategy="minimized downtime",
        phase="following", ready=None, keys="plain", pipelines={"orders": pipeline_report(stored, switch, None)},
        actions=[OperatorAction(at=T0, actor=words, name=words, pipeline=words, detail=words)],
        actions_left_out=False, switch=switch, estimated_at=None,
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
    switch = SwitchReport(
        steps=[SwitchStep(name=words, began_at=T0, ended_at=T0, outcome=words, detail=words)],
        pause=Pause(began_at=T0, ended_at=T0, seconds=1.5, budget_s=10, probes=3, refused=1),
        triggers=[TriggerReport(name=words, aws_before=words, signed_off_by=words)],
        way_back={"orders": [StartPosition(partition=words, position=words, at=None)]},
        sealed_at=T0,
        forced=words,
    )
    return report_of(History(lags=lags, moments=[Seen(T0, words, words)], rounds=[ended]), switch, words)


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
        'Late writes after the seal</dt><dd><span class="unknown">not done yet',
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


async def test_the_report_is_for_whoever_has_the_token_and_the_page_may_load_nothing() -> None:
    app = create_app(Reporting(), CollectorRegistry(), router(Reporting(), Access(SecretStr("sixteen characters"))))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://daemon") as client:
        for path in ("/v1/report", "/v1/report.html"):
            assert (await client.get(path)).status_code == 401
        client.headers["Authorization"] = "Bearer sixteen characters"
        assert Report.model_validate((await client.get("/v1/report")).json()) == full("plain")
        shown = await client.get("/v1/report.html")
    assert shown.text == page(full("plain"))
    assert shown.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert shown.headers["Content-Type"] == "text/html; charset=utf-8"


def test_the_command_writes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The document as the daemon gives it, members that only a newer one knows included."""
    answer = {**full("plain").model_dump(mode="json"), "newer": 1}
    monkeypatch.setattr(command, "call", lambda *_: answer)
    command.write_report("http://daemon", tmp_path / "a" / "b")
    assert '"newer": 1' in (tmp_path / "a/b/report.json").read_text()
    assert (tmp_path / "a/b/report.html").read_text() == page(full("plain"))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        command.write_report("http://daemon", tmp_path / "file")
    del answer["migration_id"]
    with pytest.raises(ConfigurationError, match="migration_id"):
        command.write_report("http://daemon", tmp_path)
