"""`replicator demo`: a whole small workload migrated on local clouds, with a real daemon and a verdict."""

from replicator.cli.demo.running import run_demo

__all__ = ["run_demo"]
