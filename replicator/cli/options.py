"""Options that many commands have."""

from typing import Annotated

import typer

DEFAULT_URL = "http://127.0.0.1:8080"

Url = Annotated[str, typer.Option("--url", envvar="REPLICATOR_URL", help="Where the daemon's HTTP interface is.")]
Json = Annotated[bool, typer.Option("--json", help="For machines: one JSON document on standard output.")]
