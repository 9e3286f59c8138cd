"""The part of the page about the switch. Pure."""

from collections.abc import Sequence

from replicator.report.model import EarlierSwitch, Pause, SideReport, SwitchReport, SwitchStep, TriggerReport
from replicator.report.tables import Facts, facts, table
from replicator.report.words import NOT_YET, UNKNOWN, duration, instant, number, text


def switch_section(switch: SwitchReport | None) -> str:
    """Steps, pause and triggers, or that none of it was done yet."""
    if switch is None:
        return f'<section id="switch"><h2>Switch</h2><p>The switch: {NOT_YET}.</p></section>'
    forced = f'<p><span class="badge bad">sealed by force</span> {text(switch.forced)}</p>' if switch.forced else ""
    return f"""<section id="switch"><h2>Switch</h2>{forced}{_begun(switch)}{_steps(switch.steps)}
<h3>Pause</h3>{_pause(switch.pause)}
<h3>Entry points</h3>{trigger_table(switch.triggers)}{_earlier(switch.earlier)}</section>"""


SIDES = {"aws": "AWS", "azure": "Azure", "traffic": "Traffic"}


def trigger_table(triggers: Sequence[TriggerReport], seen: str = "after") -> str:
    """Each before it was touched, and as it was seen last, which is called `seen`; a side that it has not is empty."""
    rows = [
        (text(t.name), *(cell for name in SIDES for cell in _side(t.sides.get(name))), text(t.signed_off_by))
        for t in triggers
    ]
    heads = (
        "Entry point",
        *(f"{word} {when}" for word in SIDES.values() for when in ("before", seen)),
        "Signed off by",
    )
    return table(heads, rows, empty="The config lists none.")


def _begun(switch: SwitchReport) -> str:
    sealed = f"Sealed: <strong>{instant(switch.sealed_at, NOT_YET)}</strong>."
    if switch.by_hand:
        return f"<p>{sealed} The steps were taken one by one, without a switch.</p>"
    stage = text(switch.stage or "")
    undone = f" Undone {instant(switch.undone_at, NOT_YET)}: {text(switch.reason)}." if switch.reason else ""
    return f"""<p>{sealed} Begun {instant(switch.began_at)} by <strong>{text(switch.by)}</strong>: {stage}. Attempt
{number(switch.attempt)}.{undone}</p>"""


def _steps(steps: Sequence[SwitchStep]) -> str:
    rows = [
        (
            text(step.name),
            text(step.outcome) if step.outcome else UNKNOWN,
            text(step.by),
            instant(step.began_at),
            instant(step.ended_at),
            duration(step.elapsed_s),
            duration(step.expected_s),
        )
        for step in steps
    ]
    heads = ("Step", "Outcome", "By", "Began", "Ended", "Took", "Expected")
    return table(heads, rows, figures=(5, 6), empty="No step has begun.")


def _pause(pause: Pause | None) -> str:
    if pause is None:
        return f"<p>For how long both sides were off: {UNKNOWN}.</p>"
    seen = pause.seen
    told: Facts = {
        "Both sides off for": duration(pause.seconds),
        "Allowed": duration(pause.budget_s),
        "Began": instant(pause.began_at),
        "Ended": instant(pause.ended_at),
        "Pause that clients saw": duration(seen.longest_s) if seen else UNKNOWN,
    }
    if seen is None:
        return facts(told)
    probed: Facts = {
        "It began": instant(seen.began_at),
        "It ended": instant(seen.ended_at),
        "Probe writes": number(seen.attempts),
        "Of which failed": number(seen.failures),
    }
    return facts({**told, **probed})


def _earlier(switches: Sequence[EarlierSwitch]) -> str:
    if not switches:
        return ""
    rows = [
        (
            instant(s.began_at),
            text(s.by),
            text(s.reason),
            instant(s.undone_at),
            ", ".join(f"{text(step.name)} {text(step.outcome or '')}" for step in s.steps),
            duration(s.pause.seconds if s.pause else None),
        )
        for s in switches
    ]
    heads = ("Begun", "By", "Undone because", "Undone", "Steps", "Both sides off for")
    return f"<h3>Switches that were undone</h3>{table(heads, rows, figures=(5,), long=(2, 4))}"


def _side(side: SideReport | None) -> tuple[str, str]:
    return ("", "") if side is None else (_state(side.before), _state(side.after))


def _state(state: str | None) -> str:
    return UNKNOWN if state is None else text(state)
