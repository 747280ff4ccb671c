"""Stands in for how Ray places processes."""

from __future__ import annotations

from typing import Any


class PlacementGroupSchedulingStrategy:
    def __init__(self, *_: Any, **__: Any) -> None:
        """Raises NotImplementedError: nothing is placed."""
        raise NotImplementedError("a stand-in of ray places no processes")
