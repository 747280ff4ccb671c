"""What the tests of the harness share."""

from __future__ import annotations

import pytest

from harness.oracle.basis_cache import BasisCache


@pytest.fixture(scope="session")
def bases() -> BasisCache:
    """Broken traces mostly start as the right one does: one basis serves them."""
    return BasisCache()
