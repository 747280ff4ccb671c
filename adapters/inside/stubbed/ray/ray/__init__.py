"""Stands in for Ray, which starts processes; here every process is there already, and none is to be started.

A class that is marked for it stays as it is, so that `Class.remote(...)` and `Class.options(...)` fail.
"""

from __future__ import annotations

from typing import Any


def remote(*marked: Any, **options: Any) -> Any:
    """As a mark, with options or without, of a class or function, which is handed back.

    Raises NotImplementedError for anything else.
    """
    if not marked and options:
        return remote
    if not callable(marked[0]):
        raise NotImplementedError("a stand-in of ray starts no processes")
    return marked[0]
