"""The HTTP interface of a daemon."""

ACTOR_HEADER = "X-Replicator-Actor"
"""In which a caller says on whose behalf it acts, for the audit log; nothing relies on it."""
