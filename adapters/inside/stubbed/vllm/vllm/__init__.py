"""Stands in for vLLM, whose builds need CUDA devices; where completions are given, nothing is asked of it."""

from __future__ import annotations

from typing import Any


class SamplingParams:
    def __init__(self, *_: Any, **__: Any) -> None:
        """Raises NotImplementedError: nothing is sampled."""
        raise NotImplementedError("a stand-in of vllm samples nothing")
