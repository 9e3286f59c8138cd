"""`replicator cutover`: whether traffic may be moved now, once or as soon as it may; drains, and their end."""

import json
import time
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import typer

from replicator.cli.client import call, read
from replicator.cli.ending import Exit
from replicator.cli.views import duration_text
from replicator.cutover import Check, Cutover, PipelineCutover
from replicator.errors import ConfigurationError

ASK_INTERVAL_S = 1.0

STEP_INTERVAL_S = 0.5

WAITING_INTERVAL_S = 5.0
"""What is waited for in a drain is said otherwise every second."""

CLIENTS_WITHIN_S = 60.0
"""How long a switch that is over is watched until the probe works."""

Answer = Mapping[str, Any]
"""As the daemon gives it."""


def show_cutover(url: str, *, as_json: bool, wait: bool, timeout_s: float) -> Exit:
    """OK when ready, NOT_OK otherwise. Raises ConfigurationError when the daemon does not answer."""
    answer = _ask(url)
    found = read(Cutover, url, answer)
    if wait and not found.ready:
        answer = _wait(url, found, timeout_s)
        found = read(Cutover, url, answer)
    if as_json:
        typer.echo(json.dumps(answer))  # members that only the daemon knows included
    else:
        typer.echo("\n".join(lines(found)))
    return Exit.OK if found.ready else Exit.NOT_OK


def drain(url: str, pipeline: str | None, *, release: bool, timeout_s: float, as_json: bool) -> Exit:
    """Sets the fence and waits. OK when drained, NOT_OK when not in time, with what is in the way.

    Raises ConfigurationError when the daemon does not answer or refuses it.
    """
    which = {} if pipeline is None else {"pipeline": pipeline}
    found = call(url, "/v1/cutover/drain", "pipelines", which)
    if release:
        found = call(url, "/v1/cutover/release", "pipelines", which)
    deadline, teller = time.monotonic() + timeout_s, Teller()
    while not _is_drained(found, pipeline) and time.monotonic() < deadline:
        teller.waits("; ".join(in_the_way(found, pipeline)))
        time.sleep(min(ASK_INTERVAL_S, max(0.0, deadline - time.monotonic())))
        found = call(url, "/v1/cutover/drain", "pipelines")
    drained = _is_drained(found, pipeline)
    if as_json:
        typer.echo(json.dumps(found))
    elif drained:
        typer.echo("\n".join(["drained", *late_writes(found)]))
    else:
        typer.echo("\n".join(["not drained in time:", *in_the_way(found, pipeline), *late_writes(found)]))
    return Exit.OK if drained else Exit.NOT_OK


def switch(url: str, *, max_pause_s: float, dry_run: bool, as_json: bool) -> Exit:
    """Begins the switch and tells its steps until it is over. OK when it is done, NOT_OK when it was undone.

    Raises ConfigurationError when the daemon does not answer or refuses it.
    """
    if dry_run:
        return _plan_switch(url, max_pause_s)
    found: Answer = call(url, "/v1/cutover/switch", "stage", {"max_pause_s": max_pause_s})
    teller = Teller()
    while teller.tell(found):
        found = _later(url, found, teller)
    found = _once_clients_are_served(url, found, teller)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        verdict = "switched" if found["stage"] == "done" else f"undone: {found['reason']}"
        typer.echo(f"{verdict}; the pause was {found['paused_s']:.1f} s of {max_pause_s:g} s")
        if found["probe"]:
            typer.echo(_seen_by_clients(found["probe"]))
    return Exit.OK if found["stage"] == "done" else Exit.NOT_OK


class Teller:
    """Tells on standard error how a switch or a drain goes on: each step once, and now and then what is waited for."""

    def __init__(self) -> None:
        self._steps = 0
        self._waiting = ""
        self._waiting_at = float("-inf")

    def tell(self, found: Answer) -> bool:
        """Whether there is more to come."""
        for line in steps(found)[self._steps :]:
            self._steps += 1
            self._waiting_at = float("-inf")
            typer.echo(line, err=True)
        if found["waiting_for"]:
            self.waits(found["waiting_for"])
        return found["stage"] not in {"done", "undone"}

    def waits(self, what: str) -> None:
        """At once where a step has just begun."""
        if what != self._waiting and time.monotonic() - self._waiting_at >= WAITING_INTERVAL_S:
            self._waiting, self._waiting_at = what, time.monotonic()
            typer.echo(f"waiting: {what}", err=True)


def _later(url: str, found: Answer, teller: Teller) -> Answer:
    """The answer a moment later, or the last one from a daemon that is down, or has only begun and knows of none."""
    time.sleep(STEP_INTERVAL_S)
    try:
        later = call(url, "/v1/cutover/switch", "stage")
    except ConfigurationError as error:
        teller.waits(f"{error.problem}; one that is restarted goes on with the switch")
        return found
    return found if later["stage"] is None else later


def _once_clients_are_served(url: str, found: Answer, teller: Teller) -> Answer:
    """The answer when the probe has worked again, or the last one in a minute."""
    deadline = time.monotonic() + CLIENTS_WITHIN_S
    while _is_failing(found) and time.monotonic() < deadline:
        found = _later(url, found, teller)
    return found


def _is_failing(found: Mapping[str, Any]) -> bool:
    return found["probe"] is not None and bool(found["probe"]["failing"])


def _seen_by_clients(probe: Mapping[str, Any]) -> str:
    if probe["failing"]:
        return f"clients are not served: no request of the probe has worked for {probe['pause_s']:.1f} s"
    requests = f"{probe['failures']} of {probe['attempts']} requests failed"
    return f"clients saw a pause of {probe['pause_s']:.1f} s: {requests}"


def steps(found: Mapping[str, Any]) -> list[str]:
    """One line for the beginning of each step and one for its end, in the order in which these come."""
    lines_: list[str] = []
    for taken in found["steps"]:
        expected = taken["expected_s"]
        lines_.append(f"{taken['step']}: begun" + ("" if expected is None else f", expected {duration_text(expected)}"))
        if taken["ended_at"]:
            took = datetime.fromisoformat(taken["ended_at"]) - datetime.fromisoformat(taken["began_at"])
            lines_.append(f"{taken['step']}: done in {took.total_seconds():.1f} s")
    return lines_


def _plan_switch(url: str, max_pause_s: float) -> Exit:
    """What would be done, step by step; nothing is changed."""
    found = read(Cutover, url, _ask(url))
    for step in ("cordon", "activate", "traffic"):
        planned = call(url, f"/v1/triggers/{step}", "complete", {"dry_run": True})["planned"] or []
        names = [f"{each['name']} {each['side']}" for each in planned if each["change"]]
        typer.echo(f"{step}: {', '.join(names) or 'nothing'}")
    typer.echo(f"drain: {_drain(found)}, of a pause of at most {max_pause_s:g} s")
    too_long = found.too_long_for(max_pause_s)
    refused = [*([] if found.ready else found.reasons), *([too_long] if too_long else [])]
    if refused:
        typer.echo("it would be refused: " + "; ".join(refused))
    typer.echo("nothing was changed")
    return Exit.NOT_OK if refused else Exit.OK


def seal(url: str, *, force: bool, reason: str, as_json: bool) -> None:
    """Ends the replication, and waits until nothing can reach the targets any more. A daemon that is restarted
    meanwhile has ended that. Raises ConfigurationError when the daemon does not answer or refuses it.
    """
    if force and not reason.strip():
        raise ConfigurationError("--reason", "is missing", "Say why it is right to seal what is not proven")
    found: Answer = call(url, "/v1/cutover/seal", "pipelines", {"force": force, "reason": reason})
    sealed, told = _fences(found, None), [""]
    while waits_for := under_way(found, sealed):
        _tell(waits_for, told)
        time.sleep(STEP_INTERVAL_S)
        try:
            found = call(url, "/v1/cutover/drain", "pipelines")
        except ConfigurationError as error:
            _tell([error.problem], told)
    typer.echo(json.dumps(found) if as_json else "sealed: nothing is written to the targets any more")


def abort(url: str, pipeline: str | None, *, as_json: bool) -> None:
    """Back to following, and to how triggers were where a switch is under way.

    Raises ConfigurationError when the daemon does not answer or refuses it.
    """
    if call(url, "/v1/cutover/switch", "stage")["stage"] == "running":
        found = call(url, "/v1/cutover/switch/abort", "stage", {})
        typer.echo(json.dumps(found) if as_json else "the switch leads back to how everything was")
        return
    found = call(url, "/v1/cutover/abort", "pipelines", {} if pipeline is None else {"pipeline": pipeline})
    typer.echo(json.dumps(found) if as_json else "following again")


def in_the_way(found: Mapping[str, Any], pipeline: str | None) -> list[str]:
    """What stands against it, for people."""
    return [f"{name}: {reason}" for name, told in _fences(found, pipeline).items() for reason in told["in_the_way"]]


def under_way(found: Mapping[str, Any], sealed: Collection[str]) -> list[str]:
    """What may still change the targets of these, for people. A daemon that has only begun knows of none of them."""
    fences = _fences(found, None)
    starting = [f"{name} is sealed: the daemon is starting" for name in sealed if name not in fences]
    known = [f"{name} is sealed: {what}" for name in sealed if name in fences for what in fences[name]["under_way"]]
    return [*starting, *known]


def late_writes(found: Mapping[str, Any]) -> list[str]:
    """What was written after the fences, for people."""
    return [
        f"{name}: {told['late']} written after the fence, the last at {told['late_at']}: {', '.join(told['late_keys'])}"
        for name, told in _fences(found, None).items()
        if told["late"]
    ]


def _is_drained(found: Mapping[str, Any], pipeline: str | None) -> bool:
    fences = _fences(found, pipeline)
    return bool(fences) and all(told["drained_at"] is not None for told in fences.values())


def _fences(found: Mapping[str, Any], pipeline: str | None) -> dict[str, Any]:
    return {name: told for name, told in found["pipelines"].items() if told and pipeline in {None, name}}


def lines(cutover: Cutover) -> list[str]:
    """For people: each check of each pipeline, and the whole below."""
    told = [line for name, pipeline in cutover.pipelines.items() for line in _pipeline(name, pipeline)]
    if cutover.checks:
        told += [f"{cutover.migration}, all of it:", *map(_check, cutover.checks)]
    verdict = f"{'ready' if cutover.ready else 'not ready'}; a drain would take: {_drain(cutover)}"
    starting = [] if cutover.pipelines else [f"{cutover.migration}: starting, nothing is known yet"]
    return [*told, *starting, verdict]


def _drain(cutover: Cutover) -> str:
    drain = "cannot be told" if cutover.drain_s is None else f"about {duration_text(cutover.drain_s)}"
    if cutover.comparison_s is None:
        return f"{drain}, and nobody knows how long its comparison takes (replicator verify --fast tells)"
    return f"{drain}, and its comparison about {duration_text(cutover.comparison_s)}"


def _pipeline(name: str, pipeline: PipelineCutover) -> list[str]:
    drain = pipeline.drain.seconds
    estimate = "" if drain is None else f", drain about {duration_text(drain)}"
    kind = "held, to be drained" if pipeline.held else f"replicated through {pipeline.replicated_through or 'unknown'}"
    return [f"{name}: {'ready' if pipeline.ready else 'not ready'}, {kind}{estimate}", *map(_check, pipeline.checks)]


def _check(check: Check) -> str:
    limit = "" if check.limit in {None, ""} else f" (limit {_value(check.limit, check.unit)})"
    line = f"  {check.outcome:<8} {check.name}: {_value(check.measured, check.unit)}{limit}"
    if check.waived:
        return f"{line}; waived: {check.waived}"
    return f"{line}; {check.todo}" if check.todo else line


def _value(value: float | str | None, unit: str) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, float):
        return f"{value:.1f} {unit}".rstrip()
    return str(value) or "nothing"


def _wait(url: str, found: Cutover, timeout_s: float) -> Answer:
    """The first answer that is ready, or the last one in time. A daemon that does not answer is waited for; if it did
    not in the end, what its call raised is raised.
    """
    deadline, told = time.monotonic() + timeout_s, [""]
    while True:
        _tell(found.reasons, told)
        left_s = deadline - time.monotonic()
        time.sleep(max(0.0, min(ASK_INTERVAL_S, left_s)))
        try:
            answer = _ask(url)
        except ConfigurationError as error:
            if left_s <= ASK_INTERVAL_S:
                raise
            _tell([error.problem], told)
            continue
        found = read(Cutover, url, answer)
        if found.ready or left_s <= ASK_INTERVAL_S:
            return answer


def _tell(reasons: list[str], told: list[str]) -> None:
    """On standard error, when it is something else than before."""
    if reasons != told:
        told[:] = reasons
        typer.echo("waiting: " + "; ".join(reasons), err=True)


def _ask(url: str) -> Answer:
    return call(url, "/v1/cutover", "ready")
