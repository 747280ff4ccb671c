"""The one folder of this repository that a framework's environment sees: the `adapters` package alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path


@contextmanager
def adapters_alone() -> Iterator[Path]:
    """A folder for PYTHONPATH with nothing but a link to `adapters`, so that neither the harness nor its own packages
    can be imported in place of the framework's.
    """
    spec = find_spec("adapters")
    assert spec is not None
    assert spec.origin is not None
    # What was started in it removes it as well, should this process be killed: the two may meet.
    with tempfile.TemporaryDirectory(prefix="lockstep-", ignore_cleanup_errors=True) as folder:
        (Path(folder) / "adapters").symlink_to(Path(spec.origin).resolve().parent)
        yield Path(folder)
