"""The page of what changed when, read as a browser reads it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selenium.webdriver.common.keys import Keys

from harness import printable
from harness.history.changes import lines
from harness.history.store import Measurement
from reports.html import history
from reports.html.index import MARKS
from tests.browser import Browser
from tests.harness.measured import measurement
from tests.reports.html.test_browser import CONTRASTS
from tests.reports.made import HOSTILE


class Reader(HTMLParser):
    """Text by the elements that it stands in, and every tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[str] = []
        self._inside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append("")
        if tag not in ("meta", "link"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "tr" in self._inside:
            self.rows[-1] += f" {data.strip()}"


def page(*measurements: Measurement) -> str:
    return history.page(lines(measurements))


NIGHTS = (
    measurement(1, "0.19.5", "fail", "gradient-scale: 1/GA", day=19),
    measurement(2, "0.19.5", "fail", "gradient-scale: 1/GA", day=19, scenario="sft-equal"),
    measurement(3, "0.19.6", "pass", day=20),
    measurement(4, "0.19.6", "pass", day=20, scenario="sft-equal"),
    measurement(5, "0.19.6", "unknown", day=21, scenario="sft-equal", reason="rank 1 was killed"),
)


RIGHT, WRONG = MARKS["pass"], MARKS["fail"]
SCALED = f"{WRONG} FAIL gradient-scale: 1/GA"


def test_what_is_shown() -> None:
    rows = [" ".join(row.split()) for row in Reader(page(*NIGHTS)).rows]
    told = [row for row in rows if row.startswith("2026-")]
    command = "lockstep run --framework deepspeed==0.19.6 --scenario sft-ragged"
    assert told == [
        f"2026-11-21 deepspeed 0.19.6, measured again sft-equal {RIGHT} pass ? unknown rank 1 was killed {command}",
        f"2026-11-21 deepspeed 0.19.5 → 0.19.6 sft-equal {SCALED} ? unknown rank 1 was killed {command}",
        f"2026-11-20 deepspeed 0.19.5 → 0.19.6 sft-ragged {SCALED} {RIGHT} pass {command}",
    ]
    assert f"sft-equal {WRONG} FAIL ? unknown" in rows
    assert f"sft-ragged {WRONG} FAIL {RIGHT} pass" in rows


def test_one_change_on_several_scenarios_is_told_once() -> None:
    assert len(history.told(lines(NIGHTS[:4]))) == 1
    assert history.told(lines(NIGHTS[:4]))[0].scenarios == ["sft-equal", "sft-ragged"]


def test_what_is_told_together_has_the_command_of_each_scenario() -> None:
    found = [
        measurement(number, version, verdict, scenario=scenario, command=f"lockstep run --scenario {scenario}")
        for number, (version, verdict, scenario) in enumerate(
            [(v, w, s) for v, w in (("0.19.5", "fail"), ("0.19.6", "pass")) for s in ("sft-equal", "sft-ragged")]
        )
    ]
    (told,) = history.told(lines(found))
    assert told.commands == [f"lockstep run --scenario {scenario}" for scenario in told.scenarios]
    (row,) = [row for row in Reader(page(*found)).rows if "→" in row]
    assert all(command in row for command in told.commands)


def test_of_one_day_the_newest_release_comes_first() -> None:
    """Whichever line it is of, and as releases are counted: 0.19.10 is newer than 0.19.9."""
    found = [
        measurement(1, "0.19.8", "fail", day=20),
        measurement(2, "0.19.9", "pass", day=20),
        measurement(3, "0.19.9+patch.of-mine", "fail", day=20, scenario="sft-equal"),
        measurement(4, "0.19.8", "fail", day=20, framework="trl"),
        measurement(5, "0.19.10", "pass", day=20, framework="trl"),
    ]
    for several in (found, found[::-1]):
        assert [told.after.version for told in history.told(lines(several))] == ["0.19.10", "0.19.9"]


def test_nothing_is_fetched_and_nothing_runs() -> None:
    read = Reader(page(*NIGHTS))
    assert not [tag for tag, _ in read.tags if tag in ("script", "img", "iframe", "object")]
    links = [attrs["href"] for tag, attrs in read.tags if tag in ("link", "a") and "href" in attrs]
    assert all(link in ("data:,", "#main") for link in links)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(browser: Browser, tmp_path: Path, scheme: str) -> None:
    """From a file: nothing is said on the console, nothing else is asked for, and every word can be read."""
    path = tmp_path / "trend.html"
    path.write_text(page(*NIGHTS), encoding="utf-8")
    with browser.media(prefers_color_scheme=scheme):
        browser.open(path)
        assert browser.said() == []
        # What begins with chrome: is of the empty tab that the browser starts with.
        asked = {url for url in browser.asked() if not url.startswith(("data:", "chrome:"))}
        assert asked == {path.resolve().as_uri()}
        for summary in browser.all("summary"):
            summary.send_keys(Keys.ENTER)
        shown = browser.text()
        assert "deepspeed 0.19.5 → 0.19.6" in shown
        assert "lockstep run --framework deepspeed==0.19.6 --scenario sft-ragged" in shown
        assert shown.count("last measured") == 1, "what was folded is open"
        low = [told for told in browser.run(CONTRASTS) if told[0] < 4.5]
        assert not low, low


def test_nothing_was_measured() -> None:
    assert "nothing was measured yet" in page()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(HOSTILE, HOSTILE, HOSTILE), max_size=4))
def test_no_text_is_read_as_markup(texts: list[tuple[str, str, str]]) -> None:
    found = [
        measurement(i, one, "fail", other, framework=third, scenario=one, command=other)
        for i, (one, other, third) in enumerate(texts)
    ]
    tags = {tag for tag, _ in Reader(page(*NIGHTS)).tags}
    read = Reader(page(*found))
    assert {tag for tag, _ in read.tags} <= tags
    said = "".join(" ".join("".join(row.split()) for row in read.rows))
    for one, _, _ in texts:
        assert "".join(printable.printable(one).split()) in said.replace(" ", "")
