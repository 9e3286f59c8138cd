"""`replicator triggers`: what is known of them, the steps, and what people sign off."""

import json
from collections.abc import Mapping
from typing import Any

import typer

from replicator.cli.client import call
from replicator.cli.dead_letters import shown
from replicator.cli.ending import Exit
from replicator.triggers.model import word_of

STEP_TIMEOUT_S = 3600.0
"""A step waits until each trigger is switched, and apps take minutes."""


def show_triggers(url: str, *, as_json: bool) -> None:
    """Prints all of them as they were seen last."""
    answer = call(url, "/v1/triggers", "triggers")
    if as_json:
        typer.echo(json.dumps(answer))
        return
    if answer["step"]:
        typer.echo(f"under way: {answer['step']}")
    for trigger in answer["triggers"]:
        typer.echo(_line(trigger))
    if not answer["triggers"]:
        typer.echo("the config lists no triggers")


def take_step(url: str, step: str, *, dry_run: bool, as_json: bool) -> Exit:
    """OK when it is complete, or was only looked at; NOT_OK while somebody must do something first."""
    answer = call(url, f"/v1/triggers/{step}", "complete", {"dry_run": dry_run}, STEP_TIMEOUT_S)
    if as_json:
        typer.echo(json.dumps(answer))
    elif answer["planned"] is not None:
        for planned in answer["planned"]:
            typer.echo(_plan(planned))
        typer.echo("nothing was changed")
    else:
        _progress(step, answer)
    return Exit.OK if answer["complete"] or dry_run else Exit.NOT_OK


def sign_off(url: str, name: str, step: str, *, as_json: bool) -> None:
    """Raises ConfigurationError where there is nothing to be signed off."""
    answer = call(url, "/v1/triggers/sign-off", "triggers", {"name": name, "step": step})
    typer.echo(json.dumps(answer) if as_json else f"{name}: {step} is signed off")


def _progress(step: str, answer: Mapping[str, Any]) -> None:
    for place in answer["done"]:
        typer.echo(f"{place}: done")
    pending = answer["pending"]
    if pending:
        typer.echo(f"{pending['name']}: {shown(pending['text'])}")
        typer.echo(f"then: replicator triggers sign-off {pending['name']} {pending['step']}, and {step} again")
    else:
        typer.echo(f"{step}: complete")


def _plan(planned: Mapping[str, Any]) -> str:
    place = f"{planned['name']}.{planned['side']}"
    if not planned["change"]:
        return f"{place}: {word_of(planned['now'])}, stays"
    by = f" by hand: {shown(planned['manual'])}" if planned["manual"] else ""
    return f"{place}: {word_of(planned['now'])} -> {word_of(planned['to'])}{by}"


def _line(trigger: Mapping[str, Any]) -> str:
    state = word_of(trigger["enabled"])
    state += "" if trigger["settled"] or trigger["enabled"] is None else ", changing"
    parts = [f"{trigger['name']}.{trigger['side']}: {state}", shown(trigger["failure"] or trigger["detail"])]
    if trigger["changed"]:
        parts.append(f"by a step; before: {word_of(trigger['before'])}")
    return "; ".join(part for part in parts if part)
