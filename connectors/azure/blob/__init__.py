"""Blob Storage as a target of objects."""
