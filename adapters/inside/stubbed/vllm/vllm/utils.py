"""Stands in for vLLM's tools."""

from __future__ import annotations

from typing import Any, NoReturn


def random_uuid(*_: Any) -> NoReturn:
    """Raises NotImplementedError: there are no requests."""
    raise NotImplementedError("a stand-in of vllm has no requests")
