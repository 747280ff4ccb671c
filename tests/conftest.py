"""What the tests of several folders share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from harness.environments import store

# What runs in a shell's background ignores SIGINT, and so would everything that a test starts from there.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def environments(pytestconfig: pytest.Config) -> Path:
    """The checkout's own folder of environments: what was built once serves every later run of the tests."""
    return pytestconfig.rootpath / store.default_root()
