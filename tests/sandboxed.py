"""Whether this machine can make a sandbox, for tests that need one."""

from __future__ import annotations

import pytest

from harness.launch import sandbox

try:
    sandbox.check()
    MISSING = ""
except sandbox.NoSandbox as error:
    MISSING = str(error)
"""Why it cannot; empty where it can."""

# Skipped on CI's machines too: bubblewrap is installed there, but a kernel may allow no user namespaces.
needs_sandbox = pytest.mark.skipif(bool(MISSING), reason=MISSING)
