"""Runs against each other: comparison, groups, views."""
