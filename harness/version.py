"""The version of this harness."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "lockstep-llm"
"""What is installed: `lockstep` is another package on the index."""


def own_version() -> str:
    """Version of this harness."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
