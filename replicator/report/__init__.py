"""The record of a migration for people and auditors: what was done, when, by whom, and what proves it."""

from replicator.report.model import Evidence, Report

__all__ = ["Evidence", "Report"]
