"""The pages of real runs, as `lockstep run` leaves them, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import browser as browsers
from tests.browser import Browser
from tests.frameworks.command import Run

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(3600)]

OFFLOAD = "deepspeed-0.18.9-sft-ragged-zero2-offload.html"
MARK = re.compile(r"micro-batch (\d+), rank \d+, row \d+, position \d+: (\w+), .*")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsers.started() as started:
        yield started


def index(run: Run) -> Path:
    """Where the run said that its pages are."""
    (said,) = [line for line in run.printed.splitlines() if line.startswith("to look at: ")]
    return Path(said.removeprefix("to look at: "))


def test_the_index_shows_every_cell(browser: Browser, newest: Run) -> None:
    browser.open(index(newest))
    assert browser.said() == []
    assert len(browser.all(".matrix a")) == len(newest.verdict.cells)
    assert f"{len(newest.verdict.cells)} cells" in browser.text()
    for cell in newest.verdict.cells:
        if cell.verdict == "accepted":
            assert cell.scenario in browser.one("section[aria-labelledby=wrong]").text


@pytest.mark.parametrize("framework", ["trl", pytest.param("verl", marks=pytest.mark.exhaustive)])
def test_every_page_of_a_framework_opens(browser: Browser, newest: Run, framework: str) -> None:
    browser.open(index(newest))
    cells = {cell.name: cell for cell in newest.verdict.cells if cell.framework == framework}
    found = [(a.get_attribute("href"), a.get_attribute("title")) for a in browser.all(".matrix a")]
    own = {address: title for address, title in found if title.startswith(f"{framework}==")}
    assert len(own) == len(cells)
    for address, title in own.items():
        browser.driver.get(address)
        browser.wait()
        cell = cells[title.partition(":")[0]]
        assert browser.said() == []
        assert (browser.all("#weights-0 svg") != []) == (cell.verdict in ("pass", "fail", "accepted"))


def test_what_deepspeed_dropped_is_seen(browser: Browser, older_deepspeed: Run) -> None:
    browser.open(index(older_deepspeed).parent / "cells" / OFFLOAD)
    assert "micro-batches 1 and 2 of 4 never reached the optimizer" in browser.one("main").text.lower()
    kinds: dict[int, set[str]] = {}
    for label in browser.marks("weights-0"):
        mark = MARK.fullmatch(label)
        assert mark is not None, label
        kinds.setdefault(int(mark[1]), set()).add(mark[2])
    assert kinds[1] == kinds[2] == {"lost", "idle"}
    assert "lost" not in kinds[0] | kinds[3]
    assert "deepspeed==0.15.1" in browser.one("section[aria-labelledby=others]").text
    asked = browser.asked()
    assert all(url.startswith((older_deepspeed.out.resolve().as_uri(), "data:")) for url in asked)
