"""The name that openrlhf/models/ring_attn_utils.py imports; it calls it for ring attention alone."""

from __future__ import annotations

from typing import Any, NoReturn


def all_gather(*_: Any, **__: Any) -> NoReturn:
    """Raises RuntimeError."""
    raise RuntimeError("flash_attn is a stand-in here: ring attention needs the real one")
