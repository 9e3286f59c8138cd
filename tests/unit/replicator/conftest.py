"""Hypothesis without a deadline: a slow machine is no failure."""

from hypothesis import settings

settings.register_profile("replicator", deadline=None)
settings.load_profile("replicator")
