"""The specifications of the charts: what a page brings of its own is told apart by them."""

from __future__ import annotations

import json

from reports.html import charts, curves

LINES = 2 + curves.MOST_OTHERS
"""The oracle's, the page's own, and the others."""


def test_no_two_lines_of_a_picture_are_alike() -> None:
    specs = json.loads(charts.script().partition("=")[2].rstrip(";\n"))
    # A page keeps the panels of which it has something to show, by their titles.
    assert [panel["title"] for panel in specs["curves"]["concat"]] == list(curves.QUANTITIES)
    for panel in specs["curves"]["concat"]:
        lines, points = panel["layer"]
        for encoding in (
            lines["encoding"]["color"],
            lines["encoding"]["strokeDash"],
            points["encoding"]["color"],
            points["encoding"]["shape"],
        ):
            given = [json.dumps(one) for one in encoding["scale"]["range"]]
            assert len(set(given)) == len(given) >= LINES
