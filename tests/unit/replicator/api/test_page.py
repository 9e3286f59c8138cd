"""Promises of the status page: it tells what is so, nothing that the caller may not see, and loads nothing."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import anyio
import httpx
import pytest

from fakes.daemons import Place
from fakes.served import PIPELINES, Served, served
from fakes.statuses import FINE, but
from fakes.virtual import in_virtual_time
from replicator.api.app import interface
from replicator.api.page import gathering
from replicator.api.page.content import MOST_PIPELINES, content, verdict
from replicator.api.page.routes import POLICY
from replicator.api.page.streams import MOST_EVENT_BYTES, event
from replicator.api.page.view import Protected, Refused, View
from replicator.cutover import Cutover, DrainEstimate, PipelineCutover
from replicator.model import Action
from replicator.report.gathering import recent_lag
from replicator.report.history import MOST_RECENT, RECENT_STEP_S, History
from replicator.report.model import Lag
from replicator.status import DrainStatus, PipelineStatus, SyncStatus

TOKEN = "a token of some length"
NOW = datetime(2026, 11, 23, 9, 36, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    with served(tmp_path, capsys) as up:
        yield up


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is gathered anew for each request."""
    monkeypatch.setattr(gathering, "FRESH_S", 0.0)
    monkeypatch.setattr(gathering, "LETTERS_S", 0.0)


def get(place: Served, path: str = "/v1/page", token: str = "", **headers: str) -> httpx.Response:
    given = {**headers, **({"Authorization": f"Bearer {token}"} if token else {})}
    with httpx.Client(base_url=place.url, trust_env=False) as client:
        return client.get(path, headers=given)


def judged(
    *, ready: bool, phase: str = "following", lag_s: float | None = 2.0, reasons: tuple[str, ...] = ()
) -> Cutover:
    one = PipelineCutover(
        ready=ready, held=False, replicated_through=NOW, lag_s=lag_s, checks=[],
        drain=DrainEstimate(seconds=None, backlog=None, per_s=None, settling_s=None),
    )  # fmt: skip
    return Cutover(
        migration="shop", phase=phase, ready=ready, judged_at=NOW, drain_s=None, reasons=list(reasons),
        pipelines={"orders": one}, checks=[],
    )  # fmt: skip


NO_LAG = recent_lag(History())


def view(status: PipelineStatus | None = FINE, cutover: Cutover | None = None, *, lag: Lag | None = NO_LAG) -> View:
    return View(
        pipelines=["orders"],
        statuses={} if status is None else {"orders": status},
        judged=cutover or judged(ready=False),
        lags=None if lag is None else {"orders": lag},
        protected=None,
        locked="token",
    )


def plain(html: str) -> str:
    """What a person reads, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def lagging(*lags: float | None) -> Lag:
    history = History()
    for n, lag_s in enumerate(lags):
        history.recent.take(NOW + timedelta(seconds=n * RECENT_STEP_S), lag_s)
    return recent_lag(history)


@pytest.mark.parametrize(
    ("status", "cutover", "word"),
    [
        (None, judged(ready=False, phase=""), "Starting, nothing is known yet"),
        (FINE, judged(ready=False), "Not ready"),
        (FINE, judged(ready=True), "Ready to cut over"),
        (FINE, judged(ready=False, phase="sealed"), "Sealed"),
        (FINE, judged(ready=False, phase="failed"), "Not ready: failed"),
    ],
)
def test_the_verdict_is_what_readiness_says(status: PipelineStatus | None, cutover: Cutover, word: str) -> None:
    assert verdict(view(status, cutover))[0] == word
    assert f'data-title="{word}: shop"' in content(view(status, cutover))


def test_reasons_stand_beside_not_ready() -> None:
    told = plain(content(view(cutover=judged(ready=False, reasons=("orders: lag fails: wait",)))))
    assert "Against a switch now orders: lag fails: wait" in told
    assert "Against a switch" not in content(view(cutover=judged(ready=True)))


def test_unknown_is_shown_as_unknown() -> None:
    """Also where another pipeline's is known: the worst of both is not."""
    unknown = but(FINE, copy_total=None, copy_eta_s=None, read_per_s=None, replicated_through=None)
    told = plain(content(view(unknown, judged(ready=False, lag_s=None))))
    for name in ("Worst lag now", "A drain would take", "Lag now", "Replicated through", "Copy takes another", "Read"):
        assert re.search(rf"{name} +unknown", told), name
    assert "5 of unknown" in told
    two = View(["orders", "customers"], {"orders": FINE}, judged(ready=False), {"orders": NO_LAG}, None)
    shown = plain(content(View(two.pipelines, two.statuses, two.judged, {"orders": NO_LAG, "customers": NO_LAG}, None)))
    assert re.search(r"Worst lag now +unknown", shown)
    assert "customers Nothing is known of it yet." in shown


def test_the_lag_shown_is_the_one_that_ages() -> None:
    """A snapshot's own lag would stand still where nothing takes snapshots any more."""
    assert re.search(r"Lag now +17 s", plain(content(view(but(FINE, lag_s=1.0), judged(ready=False, lag_s=17.0)))))


def test_the_lag_is_a_line_with_its_words() -> None:
    drawn = content(view(lag=lagging(1.0, 30.0, None, 2.0)))
    assert 'aria-label="Lag of orders over time: worst 30 s, latest 2.0 s"' in drawn
    assert (drawn.count('class="lag"'), drawn.count('class="no-lag"')) == (2, 1)
    assert 'data-keep="orders"' in content(view(lag=None))


def test_whatever_a_service_says_is_text_and_short() -> None:
    hostile = "<script>alert(1)</script>" + "x" * 10_000
    told = content(view(but(FINE, problems=[hostile], failure="<b>"), judged(ready=False, reasons=(hostile,))))
    assert "<script" not in told
    assert "<b>" not in told
    assert "x" * 300 not in told


def test_the_largest_content_is_within_the_bound() -> None:
    """With every text as long as it may get, and a lag that is sometimes unknown."""
    names = [f"{n:03}" + "&" * 60 for n in range(200)]
    long = "&" * 10_000
    drain = DrainStatus(fence=NOW, released=False, drained_at=None, in_the_way=[long], late=0, late_at=None)
    sync = SyncStatus(state="catching_up", since=NOW, reason=long)
    status = but(FINE, problems=[f"{n}{long}" for n in range(50)], failure=long, drain=drain, sync=sync)
    status = but(status, copy_total=10**15, copied=10**15, paused=True, repairing=True)
    cutover = judged(ready=False, reasons=tuple(f"{n}{long}" for n in range(1000)))
    cutover = cutover.model_copy(update={"pipelines": dict.fromkeys(names, cutover.pipelines["orders"])})
    lag = lagging(*[None if n % 2 else 1e9 for n in range(MOST_RECENT)])
    refused = [Refused(names[0], long, 10**9)] * gathering.MOST_REFUSED
    actions = [Action(NOW, long, long, names[0], long)] * gathering.MOST_ACTIONS
    shown = View(
        names, dict.fromkeys(names, status), cutover, dict.fromkeys(names, lag), Protected(refused, actions)
    )  # fmt: skip
    told = content(shown)
    assert len(event("content", told)) < MOST_EVENT_BYTES
    assert told.count('class="pipeline"') == MOST_PIPELINES
    assert "170 more pipelines are not shown" in told


class Links(HTMLParser):
    """What a page names that a browser would fetch, and what stands in its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in {"src", "href", "action", "srcset"}]


def test_the_page_needs_nothing_from_elsewhere(place: Served) -> None:
    page = get(place, "/").text
    links = Links()
    links.feed(page)
    assert [link for link in links.found if not link.startswith(("#", "data:,"))] == []
    assert "://" not in re.sub(r"<!DOCTYPE.*?>", "", page)
    assert not re.search(r"@import|url\(|\bon\w+=", page)


def test_the_policy_lets_it_do_nothing_else(place: Served) -> None:
    told = get(place, "/").headers
    assert told["Content-Security-Policy"] == POLICY
    assert POLICY.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in POLICY.replace("style-src-attr 'unsafe-inline'", "")
    assert (told["Cache-Control"], told["Referrer-Policy"]) == ("no-store", "no-referrer")


@pytest.mark.usefixtures("fresh")
def test_it_shows_what_the_daemon_says_now(place: Served) -> None:
    assert "Starting, nothing is known yet" in get(place).text
    place.daemon.statuses = {name: but(FINE, name=name, phase="copying") for name in PIPELINES}
    told = get(place).text
    assert ">Not ready</div>" in told
    assert re.search(r"Phase +copying", plain(told))


@pytest.mark.usefixtures("fresh")
def test_reasons_and_actions_are_shown_to_who_may_see_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither names a record."""
    with served(tmp_path, capsys, TOKEN) as place:
        place.refuse("orders", ["sesame"], "sesame is too large")
        place.refuse("orders", ["other"], "other is too large")
        place.portal.call(place.daemon.record, "ann (127.0.0.1)", "retry dead letters", "orders", "sesame")
        place.daemon.statuses = {"orders": but(FINE, dead_letters=2)}
        for path in ("/", "/v1/page"):
            public = get(place, path).text
            assert "too large" not in public
            assert "ann (127" not in public
            assert 'data-locked="token"' in public
            assert get(place, path, token="wrong").status_code == 401
            shown = get(place, path, token=TOKEN).text
            assert re.search(r"\(key\) is too large +2", plain(shown))
            assert "ann (127.0.0.1)" in shown
            assert 'data-locked=""' in shown
            assert "sesame" not in shown + public
        assert "is too large" not in get(place).text, "what one may see is not told to another"


@pytest.mark.usefixtures("fresh")
def test_without_a_token_this_machine_sees_everything_and_others_do_not(place: Served) -> None:
    place.portal.call(place.daemon.record, "ann", "pause", "orders")
    assert "ann" in plain(get(place).text)
    other = get(place, **{"X-Forwarded-For": "192.0.2.1"}).text
    assert "ann" not in plain(other).split()
    assert 'data-locked="machine"' in other
    assert 'data-locked="machine"' in get(place, Host="evil.example").text


@pytest.mark.usefixtures("fresh")
def test_the_latest_actions_are_told_newest_first(place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "ACTIONS_AT_ONCE", 7)
    for n in range(30):
        place.portal.call(place.daemon.record, f"actor{n}", "pause", "orders")
    assert re.findall(r"actor(\d+)", get(place).text) == [str(n) for n in range(29, 9, -1)]
    place.portal.call(place.daemon.record, "actor30", "pause", "orders")
    assert re.findall(r"actor(\d+)", get(place).text)[:2] == ["30", "29"]


@pytest.mark.usefixtures("fresh")
@in_virtual_time
async def test_a_whole_daemon_is_shown_from_its_start_on() -> None:
    place = Place("orders")
    async with place.store, anyio.create_task_group() as tasks:
        daemon = place.daemon()
        transport = httpx.ASGITransport(interface(daemon), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            assert "Starting, nothing is known yet" in (await client.get("/")).text
            tasks.start_soon(daemon.run)
            await daemon.started.wait()
            await anyio.sleep(5)
            told = (await client.get("/")).text
            daemon.stop()
    assert "Phase following" in plain(told).replace("  ", " ")
    assert re.search(r"orders: \w+ (fails|is unknown)", told)
    assert 'data-lag="orders"><figure' in told
    assert "Nobody has done anything" in told


def test_it_is_gathered_once_for_all(place: Served) -> None:
    """However many look."""
    asked = 0
    judge = place.daemon.watch.judge

    def counting() -> Cutover:
        nonlocal asked
        asked += 1
        return judge()

    place.daemon.watch.judge = counting  # type: ignore[method-assign]  # counts, and judges
    told = {get(place).text for _ in range(5)}
    assert asked <= 2
    assert len(told) <= 2
