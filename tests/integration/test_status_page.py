"""Promises of the status page in a real browser: it is live, honest when nothing is heard, and needs no mouse.

It needs Chromium and Playwright for Python, which are no dependencies: where they are missing it is skipped. With
`STATUS_PAGE_IMAGES` naming a folder, the pictures of the documentation are made there.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fakes.served import PIPELINES, Served, served
from fakes.statuses import FINE, but
from replicator.cutover import Cutover, Watch
from replicator.report.history import MOST_RECENT, RECENT_STEP_S, History
from tools import tool

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright for Python is not installed")

IMAGES = os.environ.get("STATUS_PAGE_IMAGES")
MOST_IMAGE_BYTES = 150_000

TOKEN = "a token of some length"

WITHIN_MS = 8_000
"""What a live page shows it shows by then."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = tool("chromium")
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-quic"]
        running = driver.chromium.launch(executable_path=chromium, args=flags)
        yield running
        running.close()


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Served]:
    with served(tmp_path, capsys) as up:
        furnish(up)
        yield up


def furnish(place: Served) -> None:
    """A migration of two pipelines, one of them still copying, with an hour behind it."""
    now = datetime.now(UTC)
    for name, worst_s in (("orders", 40.0), ("customers", 4.0)):
        history = History()
        for n in range(MOST_RECENT):
            lag_s = None if name == "customers" and n < 20 else 1.0 + worst_s * (n % 37 == 5) + (n * 7 % 5) / 2
            history.recent.take(now - timedelta(seconds=(MOST_RECENT - n) * RECENT_STEP_S), lag_s)
        place.daemon.histories[name] = history
    place.refuse("customers", ["k"], "the document takes 2340206 bytes of JSON, more than 2097152")
    through = now - timedelta(seconds=2)
    orders = but(FINE, copied=1_203_441, copy_total=1_203_441, replicated_through=through, applied_per_s=412.0)
    customers = but(
        FINE, name="customers", phase="copying", copy_stage="running", copied=61_002, copy_total=182_000, lag_s=None,
        copied_per_s=940.0, copy_eta_s=129.0, dead_letters=1, problems=["1 dead letter is open"],
    )  # fmt: skip
    place.daemon.statuses = {"orders": orders, "customers": customers}
    judging(place, "customers: copied", "customers: dead_letters")
    place.portal.call(place.daemon.record, "ann (127.0.0.1)", "change budgets", "orders", "source_units 500")


def opened(browser: Any, url: str, **options: Any) -> tuple[Any, list[str]]:
    """A page, and what its console complains of."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(WITHIN_MS)
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    return page, complaints


def shows(page: Any, text: str, within: str = "#verdict") -> None:
    playwright.expect(page.locator(within)).to_contain_text(text, timeout=WITHIN_MS)


def judging(place: Served, *reasons: str) -> None:
    """From now on only what begins so stands against a switch: what is tested is the page, not the checks."""
    watch = place.daemon.watch

    def judge() -> Cutover:
        judged = Watch.judge(watch)
        left = [each for each in judged.reasons if each.startswith(reasons or ("nothing",))]
        pipelines = {
            name: p.model_copy(update={"ready": not any(each.startswith(name) for each in left)})
            for name, p in judged.pipelines.items()
        }
        return judged.model_copy(update={"ready": not left, "reasons": left, "pipelines": pipelines})

    watch.judge = judge  # type: ignore[method-assign]  # judges, and leaves out


def picture(page: Any, name: str) -> None:
    if IMAGES is not None:
        page.screenshot(path=f"{IMAGES}/{name}.png", full_page=False)
        assert (Path(IMAGES) / f"{name}.png").stat().st_size < MOST_IMAGE_BYTES


def test_it_changes_by_itself_as_the_daemon_says(browser: Any, place: Served) -> None:
    page, complaints = opened(browser, place.url, viewport={"width": 1000, "height": 860}, color_scheme="light")
    page.evaluate("window.isTheSame = true")
    shows(page, "Not ready")
    shows(page, "customers: dead_letters fails", "#content")
    shows(page, "Last heard 0 s ago", "#heard")
    picture(page, "status-page-wide")
    place.daemon.statuses = {name: but(place.daemon.statuses[name], paused=True) for name in PIPELINES}
    shows(page, "following, paused", "section[aria-label='Pipeline orders']")
    judging(place)
    shows(page, "Ready to cut over")
    assert page.title() == "Ready to cut over: shop"
    assert page.locator("#content", has_text="Against a switch now").count() == 0
    assert page.evaluate("window.isTheSame"), "it was not loaded again"
    assert page.locator("svg path.lag").count() >= len(PIPELINES), "the pictures stay"
    assert complaints == []


def test_it_says_so_when_the_daemon_dies_and_when_it_is_back(
    browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as running:
        up = running.enter_context(served(tmp_path, capsys))
        furnish(up)
        judging(up)
        page, _ = opened(browser, up.url)
        shows(page, "Ready to cut over")
        url = up.url
        running.close()
    shows(page, "The daemon said that it is being stopped. Last heard", "#heard")
    playwright.expect(page.locator("#verdict")).to_contain_text("Nothing is heard from the daemon", timeout=15_000)
    assert "Ready" not in page.title()
    shows(page, "all of this is as it was then", "#heard")
    monkeypatch.setattr("fakes.served.LISTEN", url.removeprefix("http://"))
    with served(tmp_path, capsys):
        shows(page, "Starting, nothing is known yet")
        playwright.expect(page.locator("#content.stale")).to_have_count(0)


def test_without_a_stream_it_asks_now_and_then(browser: Any, place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicator.api.page.streams.MOST_STREAMS", 0)
    page, _ = opened(browser, place.url)
    shows(page, "Not ready")
    judging(place)
    shows(page, "Ready to cut over")


def test_the_token_opens_what_is_protected_with_the_keyboard_alone(
    browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(tmp_path, capsys, TOKEN) as up:
        furnish(up)
        page, _ = opened(browser, up.url)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        for given, answer, where in ((f"{TOKEN}x", "refuses this token", "#refusal"), (TOKEN, "2340206", "#content")):
            for _ in range(20):
                if page.evaluate("document.activeElement.id") == "token":
                    break
                page.keyboard.press("Tab")
            page.keyboard.type(given)
            page.keyboard.press("Enter")
            shows(page, answer, where)
        shows(page, "ann (127.0.0.1)", "#content")
        playwright.expect(page.locator("#unlock")).to_be_hidden()
        assert TOKEN not in page.content()


def test_what_has_the_focus_keeps_it_while_figures_change(browser: Any, place: Served) -> None:
    page, _ = opened(browser, place.url)
    page.locator(".table").first.focus()
    place.daemon.statuses = {name: but(place.daemon.statuses[name], applied=77_777) for name in PIPELINES}
    shows(page, "77,777", "#content")
    assert page.evaluate("document.activeElement.className") == "table"


CONTRAST = """() => {
  const parts = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = (c) => parts(c).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (parts(c)[3] !== 0) return c;
    }
    return "rgb(255, 255, 255)";
  };
  const told = [...document.querySelectorAll("main *")].filter((e) => !e.closest("[hidden]") &&
    [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim()));
  const ratios = told.map((e) => [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a))
    .map(([more, less]) => (more + 0.05) / (less + 0.05));
  return Math.min(...ratios);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read(browser: Any, place: Served, scheme: str) -> None:
    page, complaints = opened(browser, place.url, viewport={"width": 360, "height": 740}, color_scheme=scheme)
    shows(page, "Not ready")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(CONTRAST) >= 4.5, "as WCAG AA demands of small text"
    headings = page.eval_on_selector_all("h1,h2,h3", "found => found.map(h => Number(h.tagName[1]))")
    assert headings[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))
    assert page.locator("[aria-live],[role=status],[role=alert]").count() == 2, "what is read aloud by itself"
    assert complaints == []
    if scheme == "dark":
        picture(page, "status-page-phone")


def test_without_scripts_it_tells_the_same(browser: Any, place: Served) -> None:
    page, _ = opened(browser, place.url, java_script_enabled=False)
    shows(page, "Not ready")
    assert page.locator("meta[http-equiv=refresh]").count() == 1
