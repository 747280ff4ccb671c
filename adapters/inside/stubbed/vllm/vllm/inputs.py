"""Stands in for what vLLM is given."""

from __future__ import annotations

from typing import Any


class TokensPrompt:
    def __init__(self, *_: Any, **__: Any) -> None:
        """Raises NotImplementedError: nothing is sampled."""
        raise NotImplementedError("a stand-in of vllm takes no prompts")
