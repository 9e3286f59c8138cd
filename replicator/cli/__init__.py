"""The command line: the one place where engine, connectors and sandbox meet."""

from replicator.cli.main import main

__all__ = ["main"]
