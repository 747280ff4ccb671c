"""A night and its tickets in Markdown, by snapshot, and with text that wants to be more than text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from harness.nightly.record import CellSeen
from reports.nightly import markdown
from tests.harmless import hidden, live
from tests.reports.nightly import made


def test_a_night(snapshot: SnapshotAssertion) -> None:
    assert markdown.night(made.night(), made.before()) == snapshot


def test_a_night_without_its_canary(snapshot: SnapshotAssertion) -> None:
    assert markdown.night(made.night(found=False), None) == snapshot


@pytest.mark.parametrize("state", ["open", "flaky", "closed"])
def test_tickets(snapshot: SnapshotAssertion, state: str) -> None:
    pages = [markdown.ticket(ticket) for ticket in made.tickets().values() if ticket.state == state]
    assert pages == snapshot


HOSTILE = (
    "\x1b[31m\u202e<script>alert(1)</script>\n# Heading\n| a | b |\n```\n![x](http://x) [y](javascript:z) *b* <!--"
)


def test_hostile_text_stays_text() -> None:
    ticket = next(iter(made.tickets().values()))
    fields = {"summary": HOSTILE, "evidence": HOSTILE, "upstream": HOSTILE, "cause": HOSTILE, "unsteady": (HOSTILE,)}
    places = tuple(place.model_copy(update={"scenario": HOSTILE, "version": HOSTILE}) for place in ticket.places)
    page = markdown.ticket(ticket.model_copy(update={**fields, "places": places, "releases": (HOSTILE,)}))
    _harmless(page, 3)
    night = made.night()
    events = tuple(
        e.model_copy(update={"title": HOSTILE, "summary": HOSTILE, "cells": (HOSTILE,)}) for e in night.events
    )
    cells = (CellSeen(framework="deepspeed", version=HOSTILE, scenario="sft-ragged", verdict="pass"),)
    more = {"events": events, "problems": (HOSTILE,), "unconfirmed": (HOSTILE,), "news": {HOSTILE: HOSTILE}}
    _harmless(markdown.night(night.model_copy(update={**more, "cells": cells}), made.before()), 10)


def _harmless(page: str, headings: int) -> None:
    """Nothing of it begins a line, and outside of code no sign of it is bare."""
    lines = page.splitlines()
    assert sum(line.startswith("#") for line in lines) <= headings
    assert not any(line.startswith(("```", "<")) for line in lines)
    bare = "".join(re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", re.sub(r"\\.", "", line)) for line in lines)
    assert "<script" not in bare
    assert "](" not in bare
    assert "<!--" not in bare
    assert not hidden(page)
    assert not live(page)


@given(st.text())
def test_any_text_is_one_line(text: str) -> None:
    for shown in (markdown.short(text), markdown.code(text)):
        assert len(shown.splitlines()) <= 1
        assert shown.isprintable()
        assert len(shown) < 1600
    assert not re.search("<(?!https?://)", re.sub(r"\\.", "", markdown.short(text)))


@pytest.mark.parametrize("text", ["- x", "1. x", "+ x", "> x", "# x"])
def test_what_would_begin_a_list_does_not(text: str) -> None:
    assert markdown.short(text) == text.replace(text[0], f"\\{text[0]}", 1) or markdown.short(text) == "1\\. x"


def test_a_page_is_bounded() -> None:
    """A CI job's summary may have 1 MiB."""
    night = made.night()
    cells = tuple(f"deepspeed==0.20.0/sft-ragged@{i}" for i in range(10_000))
    many = tuple(event.model_copy(update={"cells": cells}) for event in night.events)
    said = {"framework": "deepspeed", "version": "0.20.0", "causes": ("x" * 10_000,)}
    was, now = (
        [CellSeen.model_validate({**said, "scenario": f"sft-ragged@{i}", "verdict": v}) for i in range(5_000)]
        for v in ("pass", "fail")
    )
    page = markdown.night(
        night.model_copy(update={"events": many, "cells": now}), night.model_copy(update={"cells": was})
    )
    assert "and 4800 more" in page
    assert len(page) < 2**19
