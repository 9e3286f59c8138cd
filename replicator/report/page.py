"""The report as one HTML page that needs nothing else: no scripts, no fonts, no pictures from elsewhere. Pure."""

from replicator.report.ending import action_table, drain_part, evidence_note, since_seal_section, way_back_part
from replicator.report.model import PipelineReport, Rehearsed, Report, Side
from replicator.report.picture import lag_picture
from replicator.report.style import STYLE
from replicator.report.switching import switch_section
from replicator.report.tables import Facts, facts, table
from replicator.report.words import UNKNOWN, duration, instant, number, rate, size, text


def page(report: Report) -> str:
    """The whole. Whatever the report holds is shown as text."""
    name = text(report.migration)
    body = [
        _head(report),
        *(_pipeline(each, pipeline) for each, pipeline in report.pipelines.items()),
        switch_section(report.switch),
        _actions(report),
        since_seal_section(report.since_seal),
        _foot(report),
    ]
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Migration {name}</title><style>{STYLE}</style></head>
<body><main>
{"".join(body)}
</main></body></html>
"""


def _head(report: Report) -> str:
    links = "".join(f'<li><a href="#pipeline-{text(name)}">{text(name)}</a></li>' for name in report.pipelines)
    since = '<li><a href="#since">After the seal</a></li>' if report.since_seal else ""
    whole: Facts = {
        "Strategy": text(report.strategy),
        "Phase": text(report.phase) or UNKNOWN,
        "Began": instant(report.began_at),
        "Pipelines": number(len(report.pipelines)),
        "Records copied": number(sum(p.copied.records for p in report.pipelines.values())),
        "Open dead letters": number(sum(p.dead_letters.open for p in report.pipelines.values())),
    }
    return f"""<header><h1>Migration {text(report.migration)}</h1>
<p class="soft">As of {instant(report.written_at)} UTC. All times are UTC.</p>
<p>{_verdict(report)}</p>{evidence_note(report)}{facts(whole)}{_rehearsed(report.rehearsed)}
<nav aria-label="Contents"><ul>{links}<li><a href="#switch">Switch</a></li>
<li><a href="#actions">Actions</a></li>{since}</ul></nav></header>"""


def _rehearsed(rehearsed: Rehearsed | None) -> str:
    if rehearsed is None:
        return ""
    if rehearsed.is_rehearsal:
        return '<p><span class="badge wait">a rehearsal</span> It stands for no switch of production.</p>'
    found = rehearsed.recorded
    if found is None:
        why = f"waived: {text(rehearsed.waived)}" if rehearsed.waived else "none was recorded"
        return f"<p>Rehearsal: {why}.</p>"
    waived = f" Waived: {text(rehearsed.waived)}." if rehearsed.waived else ""
    return f"""<p>Rehearsal: <strong>{text(found.migration)}</strong> (id {text(found.migration_id)}), sealed
{instant(found.sealed_at)} by {text(found.by)}, both sides off for {duration(found.pause_s)}; recorded
{instant(found.recorded_at)} by {text(found.recorded_by)}.{waived}</p>"""


def _verdict(report: Report) -> str:
    results = [p.result for p in report.pipelines.values()]
    if None not in results:
        return _result(next((each for each in RESULTS if each in results), None))
    if report.switch and report.switch.sealed_at:
        return _sealed(forced=bool(report.switch.forced), late=_late(report))
    return _ready(report.ready)


def _sealed(*, forced: bool, late: int | None) -> str:
    told = ['<span class="badge bad">sealed by force</span>' if forced else '<span class="badge good">sealed</span>']
    if late:
        told.append(f'<span class="badge bad">late writes after the seal: {number(late)}</span>')
    return " ".join(told)


def _late(report: Report) -> int:
    """As of now, also where the evidence is older."""
    since = report.since_seal
    late = since.late_writes if since else {name: p.late_writes for name, p in report.pipelines.items()}
    return sum(each.count for each in late.values() if each is not None)


RESULTS = {
    "failed": ("bad", "failed"),
    "unfinished": ("wait", "not finished"),
    "different": ("bad", "not equal"),
    "equal": ("good", "equal"),
}
"""In mode copy, from the worst to the best: how it is shown, and in which words."""


def _result(result: str | None) -> str:
    look, words = RESULTS[result or "unfinished"]
    return f'<span class="badge {look}">{words}</span>'


def _ready(ready: bool | None) -> str:
    if ready is None:
        return '<span class="badge wait">readiness unknown</span>'
    return '<span class="badge good">ready</span>' if ready else '<span class="badge wait">not ready</span>'


def _pipeline(name: str, p: PipelineReport) -> str:
    return f"""<section id="pipeline-{text(name)}"><h2>{text(name)}</h2>
<p>{_stands(p)} {_side(p.source)} <span aria-label="into">→</span> {_side(p.target)}</p>
{_standing(p)}
{_followed(name, p)}
<h3>Copy and changes</h3>{_amounts(p)}
<h3>Proof by comparison</h3>{_rounds(p)}
<h3>Drain and seal</h3>{drain_part(p)}
<h3>Dead letters</h3>{_letters(p)}
<h3>Estimate and reality</h3>{_realities(p)}
<h3>What happened</h3>{_moments(p)}
<h3>The way back</h3>{way_back_part(p.way_back)}</section>"""


def _followed(name: str, p: PipelineReport) -> str:
    return "" if p.result is not None else f"<h3>Lag</h3>{lag_picture(p.lag, text(name))}"


def _stands(p: PipelineReport) -> str:
    if p.result is not None:
        return _result(p.result)
    if p.drain is None or p.drain.sealed_at is None:
        return _ready(p.ready)
    return _sealed(forced=bool(p.drain.forced), late=p.late_writes.count if p.late_writes else None)


def _side(side: Side) -> str:
    named = ", ".join(f"{text(name)} <strong>{text(value)}</strong>" for name, value in side.names.items())
    return f"{text(side.type)} ({named})" if named else text(side.type)


def _standing(p: PipelineReport) -> str:
    told: Facts = {
        "Phase": text(p.phase),
        "Mode": text(p.mode),
        "Epoch": number(p.epoch),
        **(_progress(p) if p.drain is None or p.drain.sealed_at is None else {}),
    }
    against = [text(reason) for reason in dict.fromkeys([*filter(None, [p.failure]), *p.stands_against])]
    listed = "".join(f"<li>{reason}</li>" for reason in against)
    return facts(told) + (f"<p>Against a switch now:</p><ul>{listed}</ul>" if against else "")


def _progress(p: PipelineReport) -> Facts:
    """While there is any: what is sealed is told by its drain."""
    return {"Replicated through": instant(p.replicated_through), "Lag now": duration(p.lag_s)}


def _amounts(p: PipelineReport) -> str:
    c, changes = p.copied, p.changes
    told: Facts = {
        "Copy began": instant(c.began_at),
        "Copy ended": instant(c.ended_at),
        "Copy took": duration(c.seconds),
        "Records copied": number(c.records),
        "Bytes copied": size(c.bytes),
        "Copied on average": rate(c.mean_per_s),
        "Bytes on average": UNKNOWN if c.mean_bytes_per_s is None else f"{size(c.mean_bytes_per_s)}/s",
        "Fastest copy": rate(c.best_per_s),
        "Changes read": number(changes.read if changes else None),
        "Changes applied": number(changes.applied if changes else None),
        "Superseded before writing": number(changes.coalesced if changes else None),
        "Refusals": number(changes.refused if changes else None),
        "Late records": number(changes.late if changes else None),
        "Fastest applying": rate(changes.best_per_s if changes else None),
    }
    return facts(told)


def _rounds(p: PipelineReport) -> str:
    verified = p.verified
    since = instant(verified.clean_since, "never, so far")
    running = " A round is under way." if verified.running else ""
    left_out = f" {number(verified.left_out)} older rounds are not shown." if verified.left_out else ""
    rows = [
        (
            instant(r.began_at),
            instant(r.ended_at),
            _outcome(r.clean),
            number(r.compared),
            number(r.scanned),
            number(r.differences),
            number(r.repaired),
            number(r.unsettled),
            number(r.foreign),
            _scope(r.sample, contents=r.contents, repair=r.repair),
        )
        for r in verified.rounds
    ]
    heads = ("Began", "Ended", "Outcome", "Source records", "Target records", "Differences", "Repaired")
    return f"<p>Proven equal as of: <strong>{since}</strong>.{running}{left_out}</p>" + table(
        (*heads, "Unsettled", "Foreign", "Scope"), rows, figures=range(3, 9), empty="No round has ended yet."
    )


def _outcome(clean: bool) -> str:
    return '<span class="badge good">equal</span>' if clean else '<span class="badge bad">differs</span>'


def _scope(sample: int | None, *, contents: bool, repair: bool) -> str:
    parts = ["everything" if sample is None else f"a sample of {number(sample)}"]
    return ", ".join([*parts, *(["contents"] if contents else []), *(["repairing"] if repair else [])])


def _letters(p: PipelineReport) -> str:
    rows = [(text(x.reason), text(x.outcome), number(x.count)) for x in p.dead_letters.letters]
    return table(("Reason", "Outcome", "Records"), rows, figures=(2,), long=(0,), empty="There was none.")


def _realities(p: PipelineReport) -> str:
    rows = [(text(r.step), _or(r.estimated_s, "not estimated"), _or(r.actual_s, "not done yet")) for r in p.estimates]
    return table(("Step", "Estimated", "Took"), rows, figures=(1, 2), empty="Nothing was estimated.")


def _or(seconds: float | None, otherwise: str) -> str:
    return f'<span class="unknown">{otherwise}</span>' if seconds is None else duration(seconds)


def _moments(p: PipelineReport) -> str:
    rows = [(instant(m.at), text(m.what), text(m.detail)) for m in p.moments]
    left_out = f"<p>{number(p.moments_left_out)} in between are not kept.</p>" if p.moments_left_out else ""
    return left_out + table(("At", "What", "Detail"), rows, long=(2,), empty="Nothing has been seen yet.")


def _actions(report: Report) -> str:
    told = action_table(report.actions, is_cut=report.actions_left_out)
    return f'<section id="actions"><h2>What operators did</h2>{told}</section>'


def _foot(report: Report) -> str:
    named = "by a keyed hash" if report.keys == "hashed" else "by their keys"
    return f"""<footer><h2>About this report</h2>
<p class="soft">Migration id {text(report.migration_id)}, format {report.format}. Times of copy and comparisons, fences,
and since when a drain is proven are by the source's clock, all others by the daemon's. Counts of changes are at least
as shown: after a crash some seconds of counting may be missing. Records are named {named}, and only in the audit log
and where they were written late; nothing that they hold is shown. Unknown is never zero.</p></footer>"""
