"""Runs the ranks of a cell in a framework's environment, and leaves nothing behind but the trace."""
