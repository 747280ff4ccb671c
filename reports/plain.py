"""Text of a verdict or a trace, which may come from elsewhere, made fit for a page: one line, printable, bounded."""

from __future__ import annotations

import hashlib
import re

MOST = 4000
"""Characters of one text that are shown."""
MOST_IN_A_NAME = 100


def line(text: str, most: int = MOST) -> str:
    """One printable line of at most `most` characters, 2 or more."""
    whole = " ".join(text.split())
    shown = whole if len(whole) <= most else whole[: most - 1] + "…"
    return printable(shown)


def printable(text: str) -> str:
    """What cannot be printed, such as a control character or a change of the direction of writing, becomes U+FFFD."""
    if text.isprintable():  # nearly always, and many times as quick
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def file_name(text: str) -> str:
    """A name for a file that tells what it is of. Different texts have different names."""
    name = re.sub(r"[^A-Za-z0-9=,+@_.-]", "_", text).lstrip(".")
    if name == text and 0 < len(name) <= MOST_IN_A_NAME:
        return name
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{name[:MOST_IN_A_NAME]}-{digest}"
