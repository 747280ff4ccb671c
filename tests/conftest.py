"""What the tests of several folders share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import history
from harness.environments import store

# What runs in a shell's background ignores SIGINT, and so would everything that a test starts from there.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def environments(pytestconfig: pytest.Config) -> Path:
    """The checkout's own folder of environments: what was built once serves every later run of the tests."""
    return pytestconfig.rootpath / store.default_root()


@pytest.fixture(scope="session", autouse=True)
def own_history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests measure is kept apart from what the user did, and no test finds it done already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(history.VARIABLE, str(tmp_path_factory.mktemp("history") / "history.sqlite"))
        yield
