"""The parts of the page about drain, seal, the way back, and what came after the seal. Pure."""

from replicator.report.model import LateWrites, OperatorAction, PipelineReport, Report, SinceSeal, WayBack
from replicator.report.switching import trigger_table
from replicator.report.tables import Facts, facts, table
from replicator.report.words import NOT_YET, UNKNOWN, instant, number, text

MOST_ROWS = 500
"""Of actions; the document has more of them."""


def drain_part(p: PipelineReport) -> str:
    """Fence, proof and seal of one pipeline."""
    drain = p.drain
    if drain is None:
        return f"<p>The drain: {NOT_YET}.</p>"
    told: Facts = {
        "Fence": instant(drain.fence),
        "Proven since": instant(drain.drained_at, "not proven" if drain.sealed_at else NOT_YET),
        "Sealed": instant(drain.sealed_at, NOT_YET),
        **(
            {"Late writes after the seal": late_text(p.late_writes)}
            if drain.sealed_at
            else {"Written after the fence, and applied": number(drain.late)}
        ),
    }
    forced = '<p><span class="badge bad">sealed without proof, by force</span></p>' if drain.forced else ""
    way = "".join(f"<li>{text(reason)}</li>" for reason in drain.in_the_way)
    return forced + facts(told) + (f"<p>In the way:</p><ul>{way}</ul>" if way else "")


def late_text(late: LateWrites | None) -> str:
    """How many, when, and which first."""
    if late is None:
        return UNKNOWN
    named = f": {', '.join(text(name) for name in late.first)}" if late.first else ""
    last = f", the last {instant(late.last_at)}" if late.last_at else ""
    return f"{number(late.count)}{last}{named}"


def way_back_part(way: WayBack | None) -> str:
    """Where the reverse replication would begin."""
    if way is None:
        return f"<p>Where a replication the other way would begin: {NOT_YET}.</p>"
    told: Facts = {
        "Before the first Azure trigger was turned on": instant(way.before_activation, "replicator turned none on"),
        "At the seal": instant(way.at_seal, NOT_YET),
    }
    doubt = f"<p><strong>Too late perhaps</strong>: {text(way.doubt)}.</p>" if way.doubt else ""
    reads = f"<p>From then on: {text(way.reads)}.</p>" if way.reads else ""
    return facts(told) + doubt + reads


def since_seal_section(since: SinceSeal | None) -> str:
    """What came after the evidence; empty where nothing was sealed."""
    if since is None:
        return ""
    rows = [(text(name), late_text(late)) for name, late in since.late_writes.items()]
    problems = [f"<li>{text(name)}: {text(each)}</li>" for name, found in since.problems.items() for each in found]
    ways = "".join(f"<h3>The way back of {text(name)}</h3>{way_back_part(way)}" for name, way in since.way_back.items())
    return f"""<section id="since"><h2>After the seal</h2>
<p>As of {instant(since.as_of)}. Only this part changes; all others are the evidence as it was frozen at
{instant(since.evidence_at)}.</p>
<p class="soft">SHA-256 of evidence.json: <code>{text(since.evidence_sha256)}</code>. The log and the audit log have it
too.</p>
<h3>Late writes</h3>{table(("Pipeline", "Written at the source since"), rows, long=(1,), empty="Nothing is watched.")}
{f"<ul>{''.join(problems)}</ul>" if problems else ""}
<h3>Entry points now</h3>{trigger_table(since.triggers, "now")}{ways}
<h3>What operators did since</h3>{action_table(since.actions, is_cut=since.actions_left_out)}</section>"""


def action_table(actions: list[OperatorAction], *, is_cut: bool) -> str:
    """Lines of the audit log."""
    shown = [
        (instant(a.at), text(a.actor), text(a.name), text(a.pipeline), text(a.detail)) for a in actions[:MOST_ROWS]
    ]
    is_cut = is_cut or len(actions) > MOST_ROWS
    more = f"<p>The first {MOST_ROWS} are shown; replicator audit lists all of them.</p>" if is_cut else ""
    return more + table(
        ("At", "Who", "What", "Pipeline", "Detail"), shown, long=(4,), empty="Nobody has done anything."
    )


def evidence_note(report: Report) -> str:
    """Below the title: that what follows does not change any more."""
    if report.since_seal is None:
        return ""
    return f"""<p>This is the evidence as it was at {instant(report.since_seal.evidence_at)}, after the seal. What came
later is in <a href="#since">After the seal</a>.</p>"""
