"""The page of a validation, read as a browser reads it, and in a real one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from harness import printable
from harness.validation.record import Validation
from reports.html import validation
from tests.browser import Browser
from tests.fuzzing import examples
from tests.harmless import hidden
from tests.reports.html.test_browser import CONTRASTS
from tests.reports.html.test_history import Reader
from tests.reports.html.text import shown_by
from tests.reports.validation import made

EVERY = (made.validation(), made.failing(), made.unknown(), made.validation("fail", runs=[], environment=None))

FOLDED = "return [...document.querySelectorAll('details table')].map((e) => e.checkVisibility())"
"""Whether each table is shown that is folded."""


def test_the_verdict_comes_first_with_its_cause_and_what_to_do() -> None:
    text = shown_by(validation.page(made.failing()))
    said = ("FAIL", "A step is not what", "micro-batch 1 of 4 never", made.REMEDY, "The effective step", "The ledger",
            "Not covered by any check", "What ran", "lockstep validate sft.yaml --world 8")  # fmt: skip
    places = [text.index(each) for each in said]
    assert places == sorted(places)


def test_a_row_that_differs_says_so_in_a_word() -> None:
    rows = [" ".join(row.split()) for row in Reader(validation.page(made.validation())).rows]
    assert "decay none differs: 0.1 of all ds.json" in rows
    assert "trained the responses the responses the default" in rows
    assert "length 100 steps - max_steps" in rows


def test_every_key_has_its_word_and_those_that_are_kept_are_folded() -> None:
    page = validation.page(made.validation())
    folded = page[page.index("<details>") :]
    assert "1 kept" in folded
    assert "1 no effect on the step" in folded
    assert "cutoff_len" not in folded
    assert page.index("1 unknown to this release</h3>") < page.index("1 swapped</h3>") < page.index("2 shrunk</h3>")
    assert all(row.key in page for row in made.plan().ledger)


@pytest.mark.parametrize("found", EVERY, ids=["pass", "fail", "unknown", "not run"])
def test_nothing_is_fetched_and_nothing_runs(found: Validation) -> None:
    read = Reader(validation.page(found))
    assert not [tag for tag, _ in read.tags if tag in ("script", "img", "iframe", "object", "svg")]
    links = [attrs["href"] for tag, attrs in read.tags if tag in ("link", "a") and "href" in attrs]
    upstream = "https://github.com/deepspeedai/DeepSpeed/pull/6550"
    assert {*links} <= {"data:,", "#main", upstream}
    assert (upstream in links) == bool(found.causes), "what is known upstream may be followed"


@pytest.mark.fuzz
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made.validations())
def test_no_text_is_read_as_markup(found: Validation) -> None:
    """No element but the template's, each closed (`Reader` fails else), and every text is there to be read."""
    page = validation.page(found)
    own = {tag for each in EVERY for tag, _ in Reader(validation.page(each)).tags}
    assert {tag for tag, _ in Reader(page).tags} <= own
    assert not hidden(shown_by(page))
    told = "".join(shown_by(page).split())
    for text in (found.command, *found.not_covered, *(row.value for row in found.plan.ledger)):
        assert "".join(printable.printable(text).split()) in told


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(browser: Browser, tmp_path: Path, scheme: str) -> None:
    """From a file: nothing is said on the console, nothing else is asked for, every word can be read, and on paper
    what is folded is there."""
    path = tmp_path / "validation.html"
    path.write_text(validation.page(made.failing()), encoding="utf-8")
    with browser.media(prefers_color_scheme=scheme):
        browser.open(path)
        assert browser.said() == []
        asked = {url for url in browser.asked() if not url.startswith(("data:", "chrome:"))}
        assert asked == {path.resolve().as_uri()}
        assert set(browser.run(FOLDED)) == {False}
        low = [told for told in browser.run(CONTRASTS) if told[0] < 4.5]
        assert not low, low
    with browser.media(media="print", prefers_color_scheme=scheme):
        assert set(browser.run(FOLDED)) == {True}
        browser.run("document.body.style.width = '1030px'")
        widths = browser.run(
            "return [...document.querySelectorAll('table')].map((e) => e.getBoundingClientRect().width)"
        )
        assert len(widths) >= 8
        assert max(widths) <= 1030
