"""What a test needs and this machine has not got."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(told: str) -> NoReturn:
    """Skip the test, but fail on a machine of CI's: where all is to be tested, what cannot be run has not passed."""
    if os.environ.get("CI"):
        pytest.fail(told)
    pytest.skip(told)
