"""The pages in a real browser: what is shown, that nothing fails, and that a keyboard and a reader get by."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from harness.traces import recovered_numbers
from harness.traces.recovered_numbers import Compared
from reports import html, source
from reports.html.curves import QUANTITIES
from tests.browser import Browser
from tests.reports.html.conftest import DROPPED, MEANS, SCENARIO

pytestmark = pytest.mark.slow


def page(pages: Path, version: str) -> Path:
    return pages / "cells" / f"torch-{version}-{SCENARIO}.html"


def test_every_page_opens_without_a_word_on_the_console(browser: Browser, pages: Path) -> None:
    for path in pages.rglob("*.html"):
        browser.open(path)
        assert browser.said() == [], path.name
        asked = browser.asked()
        assert asked
        assert all(url.startswith((pages.resolve().as_uri(), "data:")) for url in asked), asked


def test_a_trace_that_tells_little_is_drawn_without_a_warning(browser: Browser, planted: Path, tmp_path: Path) -> None:
    """A step without conversations, one without a finite number, and one that is told twice."""
    folder = shutil.copytree(planted, tmp_path / "run", ignore=shutil.ignore_patterns("html", "made"))
    trace = folder / "cells" / DROPPED
    first, second, third = recovered_numbers.read(trace)
    lost = Compared(reported=math.nan, recovered=math.nan, right=math.nan, tolerance=math.nan)
    nothing = [
        t.model_copy(update=dict.fromkeys(("moved", "off", "learning_rate", "weight_decay", "right_decay"), math.nan))
        for t in first.tensors
    ]
    numbers = dict.fromkeys(("loss", "grad_norm", "learning_rate"), lost)
    silent = first.model_copy(update={"conversations": (), "tensors": tuple(nothing), **numbers})
    for steps, maps in (([silent], 0), ([silent, second, second, third], 3)):
        recovered_numbers.write(steps, trace)
        html.write(source.load(folder), folder / "html")
        browser.open(page(folder / "html", DROPPED))
        assert browser.said() == []
        assert len(browser.all("figure[data-step]")) == maps
        assert all(figure.find_elements("css selector", "svg") for figure in browser.all("figure"))


def test_the_index_leads_to_every_cell_and_back(browser: Browser, pages: Path, planted: Path) -> None:
    browser.open(pages / "index.html")
    cells = source.load(planted).cells
    assert len(browser.all(".matrix a")) == len(cells)
    for number, cell in enumerate(cells):
        browser.all(".matrix a")[number].click()
        browser.wait()
        assert cell.record.version in browser.one("h1").text
        browser.one("nav a").click()
        browser.wait()
        assert browser.one("h1").text == "Lockstep"


def test_words_stand_beside_colours(browser: Browser, pages: Path) -> None:
    browser.open(pages / "index.html")
    found = [link.text for link in browser.all(".matrix a")]
    assert [text.split()[-1] for text in found] == ["pass", "FAIL", "FAIL", "unknown", "unsupported"]
    assert len({text.split()[0] for text in found}) == 4


MARK = re.compile(
    r"micro-batch (\d+), rank (\d+), (?:row \d+|foreign), position (\d+): (\w+), weight (\S+), right (\S+)"
)


def test_whole_bands_of_the_map_are_without_weight(browser: Browser, pages: Path) -> None:
    browser.open(page(pages, DROPPED))
    found = [m for label in browser.marks("weights-0") if (m := MARK.fullmatch(label))]
    kinds: dict[int, set[str]] = {}
    for mark in found:
        kinds.setdefault(int(mark[1]), set()).add(mark[4])
    assert kinds[1] == kinds[2] == {"lost", "idle"}
    assert "lost" not in kinds[0] | kinds[3]
    assert sum(mark[4] == "lost" for mark in found) == 99  # of 140 trained tokens, as the scenario deals them


def test_a_mark_is_where_its_line_is(browser: Browser, pages: Path) -> None:
    """The bands do not only say so: they are drawn in the colour of what has no weight, one below the other."""
    browser.open(page(pages, DROPPED))
    lost = browser.colour('.swatch[data-kind="lost"]', "backgroundColor")
    script = """
        return [...document.querySelectorAll("#weights-0 svg .mark-rect path[aria-label]")].map((e) => {
          const box = e.getBoundingClientRect();
          return [e.getAttribute("aria-label"), getComputedStyle(e).fill, box.top, box.width, box.height];
        })"""
    drawn = [(MARK.fullmatch(label), *rest) for label, *rest in browser.run(script)]
    for mark, fill, _, width, height in drawn:
        assert mark is not None
        assert (fill == lost) == (mark[4] == "lost")
        assert min(width, height) > 8
    tops = {(int(mark[1]), int(mark[2])): top for mark, _, top, *_ in drawn if mark}
    assert [key for key, _ in sorted(tops.items(), key=lambda item: item[1])] == sorted(tops)


def test_a_mean_of_means_runs_from_too_little_to_too_much(browser: Browser, pages: Path) -> None:
    browser.open(page(pages, MEANS))
    found = [m for label in browser.marks("weights-0") if (m := MARK.fullmatch(label)) and m[4] != "idle"]
    lines: dict[tuple[str, str], list[str]] = {}
    for mark in found:
        lines.setdefault((mark[1], mark[2]), []).append(mark[4])
    by_length = [kinds[0] for _, kinds in sorted(lines.items(), key=lambda item: len(item[1]))]
    assert by_length[0].startswith("more")
    assert by_length[-1].startswith("less")


def test_one_step_is_shown_until_another_is_chosen(browser: Browser, pages: Path) -> None:
    browser.open(page(pages, DROPPED))
    figures = browser.all("figure[data-step]")
    assert [f.is_displayed() for f in figures] == [True, False, False]
    for value, seen in (("weights-2", [False, False, True]), ("all", [True, True, True])):
        browser.one(f'input[name="step"][value="{value}"]').click()
        assert [f.is_displayed() for f in figures] == seen


def test_all_steps_are_on_paper(browser: Browser, pages: Path) -> None:
    browser.open(page(pages, DROPPED))
    with browser.media(media="print", prefers_color_scheme="dark"):
        assert all(f.is_displayed() for f in browser.all("figure[data-step]"))
        assert browser.colour("body", "backgroundColor") == "rgb(255, 255, 255)"
        assert not browser.one("fieldset.steps").is_displayed()


def test_no_picture_is_wider_than_the_paper(browser: Browser, pages: Path) -> None:
    """Drawn for a screen, and then printed on A4, 1030 pixels wide between its margins."""
    browser.open(page(pages, DROPPED))
    with browser.media(media="print"):
        browser.run("document.body.style.width = '1030px'")
        widths = browser.run("return [...document.querySelectorAll('figure svg')].map((e) => [e, e.closest('figure')]"
                             ".map((x) => x.getBoundingClientRect().right))")  # fmt: skip
        assert len(widths) == 9
        assert all(picture <= room + 1 for picture, room in widths), widths


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(browser: Browser, pages: Path, scheme: str) -> None:
    """By WCAG 2.1, 1.4.3: 4.5 to 1, of words and of the marks in the squares."""
    with browser.media(prefers_color_scheme=scheme):
        for path in (pages / "index.html", page(pages, DROPPED), page(pages, MEANS)):
            browser.open(path)
            low = [told for told in browser.run(CONTRASTS) if told[0] < 4.5]
            assert not low, low


CONTRASTS = """
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (c) => {
    const [r, g, b] = c.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c.slice(0, 3);
    }
  };
  const told = [];
  for (const e of document.querySelectorAll("body *:not(svg *):not(script)")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest("[data-kind=idle]")) continue;
    told.push([ratio(rgb(getComputedStyle(e).color).slice(0, 3), behind(e)), e.className, e.textContent.slice(0, 40)]);
  }
  const probe = document.body.appendChild(document.createElement("i"));
  const named = (name) => {
    probe.style.color = `var(${name})`;
    return rgb(getComputedStyle(probe).color).slice(0, 3);
  };
  const pairs = [["--ink", "--paper"], ["--bad", "--paper"]];
  for (const kind of ["lost", "less3", "less2", "less1", "more1", "more2", "more3", "against", "stray", "unseen"]) {
    pairs.push([`--mark-${kind}`, `--weight-${kind}`]);
  }
  for (const palette of ["off", "far"]) {
    for (let i = 0; i < 6; i++) pairs.push([`--on-heat-${palette}${i}`, `--heat-${palette}${i}`]);
  }
  for (const [on, under] of pairs) told.push([ratio(named(on), named(under)), on, under]);
  probe.remove();
  return told;
"""


MANY_SCENARIOS = """
for (const row of document.querySelectorAll(".matrix tr")) for (let i = 0; i < 90; i++) {
  const cell = row.lastElementChild.cloneNode(true);
  cell.insertAdjacentHTML("beforeend", '<span class="unseen">unsupported</span>');
  row.append(cell);
}
return [document.documentElement.scrollWidth, document.documentElement.clientWidth];
"""


def test_a_long_row_of_scenarios_scrolls_in_its_box_alone(browser: Browser, pages: Path) -> None:
    browser.open(pages / "index.html")
    page, window = browser.run(MANY_SCENARIOS)
    assert browser.run("return document.querySelector('.matrix').getBoundingClientRect().right") > window
    assert page <= window


def test_the_dark_is_dark(browser: Browser, pages: Path) -> None:
    browser.open(page(pages, DROPPED))
    light = browser.colour('#weights-0 svg .mark-rect path[aria-label*=": lost,"]', "fill")
    with browser.media(prefers_color_scheme="dark"):
        assert browser.colour("body", "backgroundColor") == "rgb(20, 23, 27)"
        assert browser.colour('#weights-0 svg .mark-rect path[aria-label*=": lost,"]', "fill") != light


def test_a_keyboard_reaches_all_there_is(browser: Browser, pages: Path) -> None:
    """Every link and control once, and what scrolls, each with a frame around it; the first leads past the header."""
    browser.open(page(pages, DROPPED))
    wanted = browser.run(
        "return document.querySelectorAll('a[href], button:not([hidden]), input:checked, summary')"
        ".values().filter((e) => e.checkVisibility()).toArray().length"
    )
    reached = []
    for _ in range(wanted + 20):
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        at = browser.run(
            "const e = document.activeElement; return [e.tagName + '|' + (e.id || e.className) + '|' + "
            "[...document.querySelectorAll('*')].indexOf(e), getComputedStyle(e).outlineStyle]"
        )
        if at[0].startswith("BODY") or at[0] in [name for name, _ in reached]:
            break
        reached.append(at)
    assert reached[0][0].startswith("A|skip")
    # A part that scrolls and has nothing in it to reach is reached itself, whether or not it says so.
    assert len([name for name, _ in reached if not name.startswith("DIV|scroll")]) == wanted
    assert {outline for _, outline in reached} == {"solid"}


def test_a_step_is_chosen_by_arrow_keys(browser: Browser, pages: Path) -> None:
    browser.open(page(pages, DROPPED))
    browser.one('input[name="step"]:checked').send_keys(Keys.ARROW_RIGHT)
    assert [f.is_displayed() for f in browser.all("figure[data-step]")] == [False, True, False]


def test_cells_are_found_by_words(browser: Browser, pages: Path) -> None:
    browser.open(pages / "index.html")
    box = browser.one("#filter")
    box.send_keys("torch fail means")
    assert browser.one("#found").text == "1 of 5 cells"
    shown = [row for row in browser.all(".matrix tbody tr") if row.is_displayed()]
    assert [MEANS in row.text for row in shown] == [True]
    box.send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.BACKSPACE)
    assert all(row.is_displayed() for row in browser.all(".matrix tbody tr"))


def test_each_picture_has_words_and_a_table(browser: Browser, pages: Path) -> None:
    browser.open(page(pages, DROPPED))
    figures = browser.all("figure")
    assert len(figures) == 9
    for figure in figures:
        chart = figure.find_element("css selector", "[role=img]")
        assert chart.get_attribute("aria-label")
        assert figure.find_elements("css selector", "svg")
        assert figure.find_elements("css selector", "details table tbody tr")


def test_a_curve_is_drawn_of_every_quantity(browser: Browser, pages: Path) -> None:
    browser.open(page(pages, DROPPED))
    shown = browser.one("#curves").text
    assert all(quantity in shown for quantity in QUANTITIES)
    points = browser.run("return document.querySelectorAll('#curves svg .mark-symbol.role-mark path').length")
    steps, runs = 3, 3  # with the crashed one's, whose trace tells what was reported
    assert points >= len(QUANTITIES) * steps * runs


def test_without_a_script_all_is_there_to_be_read(browser: Browser, pages: Path) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.driver.get(page(pages, DROPPED).resolve().as_uri())
        assert "Micro-batches 1-2: no weight at all" in browser.text()
        assert all(f.is_displayed() for f in browser.all("figure[data-step]"))
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
