"""Stands in for Ray's tools."""
