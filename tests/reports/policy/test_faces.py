"""Trainings with a mismatch at a terminal, in Markdown, as a page and in a real browser: numbers, claims, pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from harness.commands.output import Console
from harness.policy import results
from harness.policy.corrections import CORRECTIONS
from harness.policy.mismatches import KINDS
from reports.html import policy as html
from reports.policy import markdown, pictures, terminal, told
from tests import browser as browsers
from tests.browser import Browser
from tests.harmless import hidden
from tests.harness.policy import trainings

LOST = {("noise 2", "none"): 0.5}
FOUND = trainings.experiment(LOST)
SAID = (
    "0.51 (0.485 to 0.535)",
    "-0.3 (-0.3 to -0.3)",
    "noise alone lowers the final reward",
    "NOT SUPPORTED",
    "supported",
    f"{len(FOUND.arms)} arms with 3 seeds",
    "from a reward of 0.31 (0.285 to 0.335) on",
    "In brackets the 95 % interval over 3 seeds",
)


def at_terminal() -> str:
    out = StringIO()
    terminal.show(FOUND, Console(file=out, width=300, highlight=False, markup=False))
    return out.getvalue()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsers.started() as started:
        yield started


@pytest.mark.parametrize("text", SAID)
def test_every_face_says_it(text: str) -> None:
    assert text in at_terminal()
    assert text in markdown.page(FOUND).replace("\\", "")
    assert text in html.page(FOUND)


def labels(picture: str) -> set[str]:
    return {each.text or "" for each in ET.fromstring(picture).iter() if each.tag.endswith("text")}


def test_pictures_have_a_chart_for_each_kind_and_a_line_for_each_correction() -> None:
    assert labels(pictures.against_mismatch(FOUND)) >= {*KINDS, *CORRECTIONS, pictures.EXACT, "final reward"}
    largest = {f"{kind} {made.sizes[-1]}" for kind, made in KINDS.items()}
    assert labels(pictures.over_steps(FOUND)) >= {*largest, *CORRECTIONS, pictures.EXACT, "step"}


def test_without_trainings_there_is_a_page_that_says_so() -> None:
    every = trainings.planned(1)
    nothing = results.experiment(every, {}, ["\x1b[31mRuntimeError @nobody"], "lockstep")
    assert "<svg" not in html.page(nothing)
    assert told.summary(nothing).startswith(f"{len(every)} trainings are missing")
    for page in (markdown.page(nothing), html.page(nothing)):
        assert not hidden(page)
    assert "`@nobody`" in markdown.page(nothing)


def test_one_seed_has_neither_band_nor_verdict() -> None:
    single = trainings.experiment(LOST, seeds=1)
    assert "There is one seed" in html.page(single)
    assert "cannot be told" in html.page(single)
    ET.fromstring(pictures.against_mismatch(single))


@pytest.mark.slow
def test_a_browser_shows_it_without_a_word_of_complaint(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "mismatch-training.html"
    page.write_text(html.page(FOUND))
    browser.open(page)
    assert browser.said() == []
    assert browser.asked() == [page.as_uri()]
    assert len(browser.all("figure svg")) == 2
    assert "noise alone lowers the final reward" in browser.text()
    wide = browser.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]
