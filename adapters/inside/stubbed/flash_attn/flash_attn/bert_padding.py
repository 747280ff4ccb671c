"""The names that openrlhf/models/ring_attn_utils.py imports; it calls them for packed samples alone."""

from __future__ import annotations

from typing import Any, NoReturn


def _missing(*_: Any, **__: Any) -> NoReturn:
    raise RuntimeError("flash_attn is a stand-in here: packed samples need the real one")


index_first_axis = pad_input = rearrange = unpad_input = _missing
