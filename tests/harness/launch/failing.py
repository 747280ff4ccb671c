"""How a rank of the framework that misbehaves fails, and what every launcher says of it."""

from __future__ import annotations

import pytest

FAILING = pytest.mark.parametrize(
    ("how", "reason"), [("raise", "rank 1: ValueError: planted"), ("kill", "rank 1: killed by SIGKILL")]
)
