"""`replicator schema`: the JSON Schema of a config file."""

import json

import typer

from connectors import registry
from replicator.config.loading import json_schema


def print_schema() -> None:
    """Writes it to standard output."""
    typer.echo(json.dumps(json_schema(registry()), indent=2))
