"""Stands in for Pillow, which loads images that text never has."""

from __future__ import annotations

from typing import Any


class Image:
    """The module of that name, and the class in it."""

    Image: type

    def __init__(self, *_: Any, **__: Any) -> None:
        """Raises NotImplementedError: no row has images."""
        raise NotImplementedError("a stand-in of PIL has no images")


Image.Image = Image
