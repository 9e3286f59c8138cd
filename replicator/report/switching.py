"""The part of the page about the switch. Pure."""

from replicator.report.model import Pause, SwitchReport, SwitchStep, TriggerReport
from replicator.report.tables import Facts, facts, table
from replicator.report.words import NOT_YET, UNKNOWN, duration, instant, number, text


def switch_section(switch: SwitchReport | None) -> str:
    """Steps, pause and triggers, or that none of it was done yet."""
    if switch is None:
        return f'<section id="switch"><h2>Switch</h2><p>The switch: {NOT_YET}.</p></section>'
    steps = [_step(step) for step in switch.steps]
    heads = ("Step", "Outcome", "Began", "Took", "Expected", "Detail")
    forced = f'<p><span class="badge bad">forced</span> {text(switch.forced)}</p>' if switch.forced else ""
    return f"""<section id="switch"><h2>Switch</h2>{forced}
<p>Sealed: <strong>{instant(switch.sealed_at, NOT_YET)}</strong>. Attempt {number(switch.attempt)}.</p>
{table(heads, steps, figures=(3, 4), long=(5,), empty="No step has begun.")}
<h3>Write pause</h3>{_pause(switch.pause)}<h3>Triggers</h3>{_triggers(switch.triggers)}</section>"""


def _step(step: SwitchStep) -> tuple[str, ...]:
    took = (step.ended_at - step.began_at).total_seconds() if step.ended_at else None
    outcome = text(step.outcome) if step.outcome else "under way"
    expected = duration(step.expected_s)
    return text(step.name), outcome, instant(step.began_at), duration(took), expected, text(step.detail)


def _pause(pause: Pause | None) -> str:
    if pause is None:
        return f"<p>Seen by the probe: {NOT_YET}.</p>"
    told: Facts = {
        "Pause that writers saw": duration(pause.seconds),
        "Allowed": duration(pause.budget_s),
        "Began": instant(pause.began_at),
        "Ended": instant(pause.ended_at),
        "Probes": number(pause.probes),
        "Refused": number(pause.refused),
    }
    return facts(told)


def _triggers(triggers: list[TriggerReport] | None) -> str:
    if triggers is None:
        return f"<p>Entry points before and after: {NOT_YET}.</p>"
    rows = [
        (text(t.name), *map(_state, (t.aws_before, t.aws_after, t.azure_before, t.azure_after)), text(t.signed_off_by))
        for t in triggers
    ]
    heads = ("Entry point", "AWS before", "AWS after", "Azure before", "Azure after", "Signed off by")
    return table(heads, rows, empty="The config lists none.")


def _state(state: str | None) -> str:
    return UNKNOWN if state is None else text(state)
