"""Stands in for Qwen's tools for images and videos, which bring torchvision with them."""

from __future__ import annotations

from typing import Any, NoReturn


def fetch_image(*_: Any, **__: Any) -> NoReturn:
    """Raises NotImplementedError: no row has images."""
    raise NotImplementedError("a stand-in of qwen_vl_utils reads no images")


def fetch_video(*_: Any, **__: Any) -> NoReturn:
    """Raises NotImplementedError: no row has videos."""
    raise NotImplementedError("a stand-in of qwen_vl_utils reads no videos")
