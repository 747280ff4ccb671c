"""Text of a verdict or a trace, which may come from elsewhere, made fit for the name of a file."""

from __future__ import annotations

import hashlib
import re

MOST_IN_A_NAME = 100


def file_name(text: str) -> str:
    """A name for a file that tells what it is of. Different texts have different names."""
    name = re.sub(r"[^A-Za-z0-9=,+@_.-]", "_", text).lstrip(".")
    if name == text and 0 < len(name) <= MOST_IN_A_NAME:
        return name
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{name[:MOST_IN_A_NAME]}-{digest}"
