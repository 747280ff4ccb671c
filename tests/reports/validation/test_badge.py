"""The badge: an SVG that stands alone, can be read, and is as wide as its words."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from harness.validation.record import Validation
from reports.validation import badge
from tests.reports.validation import made

SVG = "{http://www.w3.org/2000/svg}"
EACH = {
    "pass, 2 not covered": made.validation(),
    "pass": made.validation(not_covered=[]),
    "FAIL": made.failing(),
    "unknown": made.unknown(),
}


@pytest.mark.parametrize(("verdict", "found"), EACH.items(), ids=list(EACH))
def test_it_says_the_verdict(verdict: str, found: Validation) -> None:
    root = ET.fromstring(badge.svg(found))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == f"lockstep: {verdict}"
    assert [each.text for each in root.iter(f"{SVG}title")] == [f"lockstep: {verdict}"]
    assert [each.text for each in root.iter(f"{SVG}text")] == ["lockstep", verdict]
    assert "href" not in badge.svg(found)
    assert badge.svg(found).count("http") == 1, "the name space alone"


def test_it_is_as_wide_as_its_words() -> None:
    widths = [int(ET.fromstring(badge.svg(found)).attrib["width"]) for found in EACH.values()]
    assert max(widths) == widths[0]
    assert len(set(widths)) >= 3
    root = ET.fromstring(badge.svg(EACH["FAIL"]))
    left, right = root.iter(f"{SVG}rect")
    assert int(left.attrib["width"]) + int(right.attrib["width"]) == int(root.attrib["width"])
    for text, box in zip(root.iter(f"{SVG}text"), (left, right), strict=True):
        begins = int(box.attrib.get("x", 0))
        assert begins < int(text.attrib["x"])
        assert int(text.attrib["x"]) + int(text.attrib["textLength"]) < begins + int(box.attrib["width"])


def light(colour: str) -> float:
    """By WCAG 2.1."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    r, g, b = (v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("colour", [badge.NAMED, *badge.COLOURS.values()])
def test_its_words_can_be_read(colour: str) -> None:
    assert (light(badge.INK) + 0.05) / (light(colour) + 0.05) >= 4.5
