"""Recordings of anybody's own training: how they are made, read and weighed."""
