"""Faces of a bisection: what they all say (`told`), at a terminal, and in Markdown."""
