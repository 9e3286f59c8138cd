"""What came of each pipeline in mode copy, and how far it has come, for people and for machines. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from replicator.cli.verify import describe
from replicator.cli.views import copied_text, duration_text, phase_text
from replicator.engine.rounds import Difference, Round
from replicator.engine.verdict import Result, Verdict
from replicator.model import Phase
from replicator.naming import Naming
from replicator.status import PipelineStatus, VerificationStatus
from replicator.wording import counted

MOST_SHOWN = 10
"""Differences of a pipeline that are shown; all that are named are in a file."""

COUNTS = ("compared", "scanned", "differences", "repaired", "unsettled", "foreign", "waiting")


def progress(name: str, status: PipelineStatus) -> str:
    """How far one pipeline has come, and below it what needs attention."""
    problems = "".join(f"\n  needs attention: {problem}" for problem in status.problems)
    return f"{name}: {_work(status)}{problems}"


def _work(status: PipelineStatus) -> str:
    if status.phase != Phase.COPIED:
        queue = status.queue
        waiting = "" if queue is None else f", {counted(queue.messages, 'message waits', 'messages wait')}"
        return f"{phase_text(status)}, {copied_text(status)}{waiting}"
    found = status.verification
    if found is not None and found.running:
        return f"comparing, {_compared(found)}"
    then = "to be compared when all are copied" if found is None else f"compared, {_differ(found.differences)}"
    return f"copied, {copied_text(status)}; {then}"


def _compared(found: VerificationStatus) -> str:
    total = "?" if found.total is None else f"{found.total:,}"
    left = "" if found.eta_s is None else f", about {duration_text(found.eta_s)} left"
    return f"{found.compared:,} of {total}, {_differ(found.differences)}{left}"


def _differ(count: int) -> str:
    return counted(count, "differs", "differ") if count else "none differs"


def summary(verdicts: Mapping[str, Verdict], naming: Naming, result: Result) -> Iterator[str]:
    """A line for each pipeline, and below it what is wrong with it."""
    for name, verdict in verdicts.items():
        yield f"{name}: {_verdict(verdict)}"
        findings = _findings(verdict, naming)
        for finding in findings[:MOST_SHOWN]:
            yield describe(asdict(finding))
        if len(findings) > MOST_SHOWN:
            yield f"  and {len(findings) - MOST_SHOWN:,} more, see differences.json beside the report"
    if result is Result.DIFFERENT:
        yield "Start it again to compare again, with --repair to mend what differs and take up what was refused."


def _verdict(verdict: Verdict) -> str:
    state, found = verdict.state, verdict.found
    noun = "record" if found is None or found.legs else "message"
    copied = f"{counted(state.copied_records, noun)} copied"
    if verdict.result is Result.FAILED:
        return f"FAILED, {state.failure}"
    if verdict.result is Result.UNFINISHED or found is None:
        return f"NOT FINISHED, {copied if state.phase is Phase.COPIED else f'is {state.phase}'}"
    word = "EQUAL" if verdict.result is Result.EQUAL else "NOT EQUAL"
    return ", ".join([word, copied, *_counts(verdict, found)]) + f"; as of {found.began_at.isoformat()}"


def _counts(verdict: Verdict, found: Round) -> Iterator[str]:
    """A queue has nothing that could be read to be compared: it is found empty instead."""
    yield f"{found.compared:,} compared" if found.legs else "the queue received to its end"
    if found.waiting:
        yield counted(found.waiting, "message is", "messages are") + " left in the queue"
    if found.differences - found.waiting:
        yield counted(found.differences - found.waiting, "differs", "differ")
    if found.repaired:
        yield f"{found.repaired:,} repaired, but never found equal"
    if found.unsettled:
        yield f"{found.unsettled:,} unsettled"
    if found.foreign:
        yield counted(found.foreign, "entry", "entries") + " at the target not ours"
    if verdict.dead_letters:
        yield counted(verdict.dead_letters, "dead letter")


def as_json(verdict: Verdict, naming: Naming) -> dict[str, Any]:
    """For machines; `findings` are those that are named."""
    state, found = verdict.state, verdict.found
    return {
        "result": verdict.result,
        "failure": state.failure,
        "copied": state.copied_records,
        "copied_bytes": state.copied_bytes,
        "dead_letters": verdict.dead_letters,
        "as_of": found.began_at.isoformat() if found else None,
        **{name: getattr(found, name) if found else None for name in COUNTS},
        "findings": [asdict(finding) for finding in _findings(verdict, naming)],
    }


def _findings(verdict: Verdict, naming: Naming) -> list[Difference]:
    """As they are told, but for what was repaired."""
    found = verdict.found.findings.values() if verdict.found else ()
    return [
        replace(each, key=naming.key(each.key), reason=naming.text(each.reason, [each.key]))
        for each in found
        if not each.repaired
    ]
