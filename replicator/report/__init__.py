"""The record of a migration for people and auditors: what was done, when, by whom, and what proves it."""

from replicator.report.model import Report

__all__ = ["Report"]
