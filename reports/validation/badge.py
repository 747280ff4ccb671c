"""A badge: the verdict on a configuration, as a small picture that stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from harness.validation.record import Outcome, Validation

NAME = "lockstep"
INK, NAMED = "#ffffff", "#3b424a"
COLOURS: Mapping[Outcome, str] = {"pass": "#0a5c4f", "fail": "#b42a00", "unknown": "#6b4e00"}
"""Behind the verdict. White on each of them has a contrast above 4.5 to 1."""
HEIGHT, SIZE, SIDE = 20, 11, 6
"""Pixels: of the badge, of its letters, and beside a text."""
LETTER = 6.3
"""Width of a letter, to which the text is stretched, whatever font a reader has."""


def svg(found: Validation) -> str:
    """An SVG of the width of its words, with a title for who does not see it."""
    left, right = (round(len(text) * LETTER) + 2 * SIDE for text in (NAME, found.verdict))
    said = f"{NAME}: {found.verdict}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{HEIGHT}" role="img"'
        f" aria-label={quoteattr(said)}>\n"
        f"<title>{escape(said)}</title>\n"
        f'<rect width="{left}" height="{HEIGHT}" fill="{NAMED}"/>\n'
        f'<rect x="{left}" width="{right}" height="{HEIGHT}" fill="{COLOURS[found.outcome]}"/>\n'
        f'<g fill="{INK}" font-family="Verdana, DejaVu Sans, sans-serif" font-size="{SIZE}">\n'
        f"{_text(NAME, 0, left)}\n{_text(found.verdict, left, right)}\n</g>\n</svg>\n"
    )


def _text(text: str, at: int, width: int) -> str:
    return f'<text x="{at + SIDE}" y="14" textLength="{width - 2 * SIDE}">{escape(text)}</text>'
