"""`replicator audit`: what operators have done."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from replicator.cli.client import call
from replicator.cli.dead_letters import shown


def list_actions(url: str, *, as_json: bool) -> None:
    """Prints all of them, oldest first."""
    actions = _actions(url)
    if as_json:
        typer.echo(json.dumps(list(actions)))
        return
    for action in actions:
        where = f" {action['pipeline']}" if action["pipeline"] else ""
        detail = f" ({shown(action['detail'])})" if action["detail"] else ""
        typer.echo(f"{action['at']}  {shown(action['actor'])}: {action['name']}{where}{detail}")


def _actions(url: str) -> Iterator[Mapping[str, Any]]:
    after: int | None = 0
    while after is not None:
        answer = call(url, f"/v1/actions?after={after}", "actions")
        yield from answer["actions"]
        after = answer["next"]
