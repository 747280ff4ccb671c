"""What the tests of several folders share."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.environments import store


@pytest.fixture(scope="session")
def environments(pytestconfig: pytest.Config) -> Path:
    """The checkout's own folder of environments: what was built once serves every later run of the tests."""
    return pytestconfig.rootpath / store.default_root()
