"""The one folder of this repository that a framework's environment sees: the `adapters` package alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from harness import temporary


@contextmanager
def adapters_alone() -> Iterator[Path]:
    """A folder for PYTHONPATH with nothing but a link to `adapters`, so that neither the harness nor its own packages
    can be imported in place of the framework's.
    """
    spec = find_spec("adapters")
    assert spec is not None
    assert spec.origin is not None
    with temporary.folder("run") as folder:
        (folder / "adapters").symlink_to(Path(spec.origin).resolve().parent)
        yield folder
