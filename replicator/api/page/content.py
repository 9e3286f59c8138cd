"""The page's content in HTML, with the pieces of the report. Whatever comes from a status is shown as text. Pure."""

from collections.abc import Sequence

from replicator.api.page.view import Protected, View
from replicator.cutover import Cutover, PipelineCutover
from replicator.model import Phase
from replicator.report.picture import lag_picture
from replicator.report.tables import Facts, facts, table
from replicator.report.words import UNKNOWN, duration, instant, number, rate, text
from replicator.status import DrainStatus, PipelineStatus

MOST_PIPELINES = 30
MOST_REASONS = 50
MOST_PROBLEMS = 5
MOST_TEXT = 300
"""Characters of a text that somebody else wrote, such as what a service answered."""

LOCKED = {
    "token": "Whoever holds the token may see them: enter it below.",
    "machine": "They are shown to callers on the daemon's own machine only, since no http.token is configured.",
}


def content(view: View) -> str:
    """One element, `#content`. Its attributes tell the script what the title is to be, and what is locked."""
    word, kind = verdict(view)
    shown = view.pipelines[:MOST_PIPELINES]
    left_out = len(view.pipelines) - len(shown)
    more = f"<p>{number(left_out)} more pipelines are not shown; replicator status lists them.</p>" if left_out else ""
    return f"""<div id="content" data-title="{word}: {text(view.judged.migration)}" data-locked="{view.locked}">
<section aria-labelledby="readiness"><h2 id="readiness">Readiness</h2>
<div id="verdict" class="verdict {kind}" role="status">{word}</div>
{_whole(view)}{_reasons(view.judged, word)}</section>
{"".join(_pipeline(view, name) for name in shown)}{more}
{_protected(view.protected, view.locked)}
<footer><p class="soft">As of {instant(view.judged.judged_at)} UTC. All times are UTC. Unknown is never zero, and never
good.</p></footer></div>"""


def verdict(view: View) -> tuple[str, str]:
    """In words, and the class of its colours."""
    if not view.statuses:
        return "Starting, nothing is known yet", "wait"
    phase = view.judged.phase
    if phase == Phase.SEALED:
        return "Sealed", "good"
    if phase == Phase.FAILED:
        return "Not ready: failed", "bad"
    return ("Ready to cut over", "good") if view.judged.ready else ("Not ready", "wait")


def _reasons(judged: Cutover, word: str) -> str:
    if judged.ready or word == "Sealed":
        return ""
    return f"<h3>Against a switch now</h3>{_listed(judged.reasons, MOST_REASONS)}"


def _listed(told: Sequence[str], most: int) -> str:
    if not told:
        return ""
    items = "".join(f"<li>{_short(each)}</li>" for each in told[:most])
    more = f"<li>and {number(len(told) - most)} more</li>" if len(told) > most else ""
    return f"<ul>{items}{more}</ul>"


def _short(told: str) -> str:
    return text(told if len(told) <= MOST_TEXT else told[:MOST_TEXT] + "…")


def _whole(view: View) -> str:
    judged = view.judged
    lags = [p.lag_s for p in judged.pipelines.values() if not p.held]
    is_known = bool(lags) and len(judged.pipelines) == len(view.pipelines)
    known = [lag_s for lag_s in lags if lag_s is not None]
    letters = sum(status.dead_letters for status in view.statuses.values()) if view.statuses else None
    told: Facts = {
        "Phase": text(judged.phase) or UNKNOWN,
        "Worst lag now": duration(max(known) if is_known and len(known) == len(lags) else None),
        "A drain would take": duration(judged.drain_s),
        "And the comparison after it": duration(judged.comparison_s),
        "Pipelines": number(len(view.pipelines)),
        "Open dead letters": number(letters),
    }
    return facts(told)


def _pipeline(view: View, name: str) -> str:
    status, judged = view.statuses.get(name), view.judged.pipelines.get(name)
    head = f'<section class="pipeline" aria-label="Pipeline {text(name)}"><h2>{text(name)}</h2>'
    if status is None:
        return f'{head}<p class="unknown">Nothing is known of it yet.</p></section>'
    return f"""{head}<p>{_badge(status, judged)}</p>{_listed(_troubles(status), MOST_PROBLEMS)}
{facts(_standing(status, judged))}
<h3>Lag over the last hour</h3>{_lag(view, name)}
<h3>Copy</h3>{_copy(status)}
<h3>Throughput</h3>{facts(_throughput(status))}</section>"""


def _badge(status: PipelineStatus, judged: PipelineCutover | None) -> str:
    if status.phase == Phase.SEALED:
        return '<span class="badge good">sealed</span>'
    ready = judged is not None and judged.ready
    return '<span class="badge good">ready</span>' if ready else '<span class="badge wait">not ready</span>'


def _troubles(status: PipelineStatus) -> list[str]:
    """What needs somebody's attention, the failure first."""
    return list(dict.fromkeys([*filter(None, [status.failure]), *status.problems]))


def _standing(status: PipelineStatus, judged: PipelineCutover | None) -> Facts:
    phase = [status.phase, *(["repairing"] if status.repairing else []), *(["paused"] if status.paused else [])]
    held = judged is not None and judged.held
    told: dict[str, str] = {
        "Phase": text(", ".join(phase)),
        "Lag now": "none: it is only watched" if held else duration(judged.lag_s if judged else None),
        "Replicated through": instant(status.replicated_through),
        "Open dead letters": number(status.dead_letters),
    }
    if status.sync is not None:
        state = "In sync since" if status.sync.state == "in_sync" else "Catching up since"
        told[state] = instant(status.sync.since)
    if status.drain is not None:
        told["Drained"] = _drained(status.drain)
    if status.queue is not None:
        told["Messages that wait"] = number(status.queue.messages)
    return told


def _drained(drain: DrainStatus) -> str:
    if drain.drained_at is not None:
        return f"since {instant(drain.drained_at)}"
    return f"not yet: {_short(drain.in_the_way[0])}" if drain.in_the_way else "not yet"


def _lag(view: View, name: str) -> str:
    """The script leaves a picture as it is where this says `data-keep`, if it is one of the same pipeline."""
    if view.lags is None:
        return f'<div data-keep="{text(name)}"></div>'
    return f'<div data-lag="{text(name)}">{lag_picture(view.lags[name], text(name))}</div>'


def _copy(status: PipelineStatus) -> str:
    total = status.copy_total
    bar = ""
    if total:
        done = min(status.copied, total)
        bar = f"""<p><progress max="{total}" value="{done}" aria-label="Copied"></progress>
{100 * done // total} %</p>"""
    told: Facts = {
        "Stage": text(status.copy_stage),
        "Copied": f"{number(status.copied)} of {number(total)}",
        "Copying": rate(status.copied_per_s),
        "Copy takes another": duration(status.copy_eta_s),
    }
    return bar + facts(told)


def _throughput(status: PipelineStatus) -> Facts:
    return {
        "Read": rate(status.read_per_s),
        "Applied": rate(status.applied_per_s),
        "Requests at once, at most": number(status.concurrency),
        "Applied since the start": number(status.applied),
    }


def _protected(protected: Protected | None, locked: str) -> str:
    if protected is None:
        return f"""<section><h2>Dead letters and operators' actions</h2>
<p>Reasons of dead letters and what operators did are protected. {LOCKED.get(locked, "")}</p></section>"""
    refused = [(text(r.pipeline), _short(r.reason), number(r.count)) for r in protected.refused]
    done = [(instant(a.at), _short(a.actor), _short(a.name), text(a.pipeline)) for a in protected.actions]
    letters = table(("Pipeline", "Reason", "Records"), refused, figures=(2,), long=(1,), empty="None is open.")
    actions = table(("At", "Who", "What", "Pipeline"), done, long=(1,), empty="Nobody has done anything.")
    return f"""<section><h2>Open dead letters by reason</h2>{letters}</section>
<section><h2>The latest actions of operators</h2>{actions}</section>"""
