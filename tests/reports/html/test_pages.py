"""What is on the pages, read by a parser: all that matters, nothing that a name could smuggle in, no dead link."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from zipfile import ZipFile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import printable
from harness.traces.recovered_numbers import Compared, ConversationWeights, StepWeights, TensorStep
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict
from reports import html, source
from reports.html import cell
from reports.html.pages import Pages
from reports.html.templates import Templates
from reports.source import Cell, Source
from tests.reports.html.conftest import DROPPED, SCENARIO
from tests.reports.made import HOSTILE, every_outcome, verdicts

VOID = {"meta", "link", "input", "br"}
OWN = {
    "a", "article", "b", "body", "button", "caption", "code", "dd", "details", "div", "dl", "dt", "fieldset", "figure",
    "footer", "form", "h1", "h2", "h3", "head", "header", "html", "input", "label", "legend", "li", "link", "main",
    "meta", "nav", "output", "p", "pre", "script", "section", "span", "strong", "summary", "table", "tbody", "td",
    "th", "thead", "title", "tr", "ul",
}  # fmt: skip
"""Elements that the templates are made of."""
PASSED = CellRecord(framework="torch", version="1", scenario="s", verdict="pass")


class Page(HTMLParser):
    """A page as a browser would take it apart."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self._open and self._open[-1] == "script" else self.words).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def of(self, tag: str, name: str) -> list[str]:
        return [value for t, n, value in self.attributes if (t, n) == (tag, name)]


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def rendered(found: Verdict) -> tuple[Page, list[Page]]:
    """The index and the pages of the cells, of a verdict without traces."""
    cells = tuple(Cell(record, None) for record in found.cells)
    made = Pages(Source(Path("a run"), found, cells))
    return Page(made.index()), [Page(made.cell(one, None)) for one in cells]


def written(found: Verdict, folder: Path) -> Path:
    verdict.write(found, folder)
    return html.write(source.load(folder), folder / "html").parent


def shown(text: str) -> str:
    """As a page shows it, between other words."""
    return " ".join(printable.printable(text).split())


# ---- harm


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(verdicts())
def test_no_text_of_a_verdict_becomes_part_of_the_page(found: Verdict) -> None:
    index, cells = rendered(found)
    assert len(cells) == len(found.cells)
    for page in (index, *cells):
        assert set(page.tags) <= OWN
        assert not [name for _, name, _ in page.attributes if name.startswith("on")]
        assert all(a.startswith(("http://", "https://", "mailto:", "#")) or a.endswith(".html")
                   for a in page.of("a", "href"))  # fmt: skip
        assert all(a.startswith(("assets/", "../assets/")) for a in page.of("script", "src"))


@settings(max_examples=60, deadline=None)
@given(HOSTILE.filter(lambda text: text.strip()), HOSTILE)
def test_names_and_reasons_are_shown_as_they_are(name: str, reason: str) -> None:
    record = CellRecord(framework=name, version="1", scenario="s", verdict="unknown", reason=reason)
    _, (page,) = rendered(Verdict(cells=[record], complete=True))
    assert shown(name) in page.text
    assert shown(printable.line(reason)) in page.text


START, END = '<script type="application/json" id="figures">', "</script>"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(HOSTILE, min_size=1, max_size=5))
def test_words_of_a_vocabulary_stay_in_their_data(planted: Path, words: list[str]) -> None:
    one = next(c for c in source.load(planted).cells if c.record.version == DROPPED)
    drawn = cell.page(one, [], None)
    figures = [{"data": {"words": words, "kinds": [f.drawn for f in drawn.maps]}}]
    text = Templates().render("figures.html", figures=figures).strip()
    assert text.startswith(START)
    assert text.endswith(END)
    data = text.removeprefix(START).removesuffix(END)
    assert not set(data) & set("<>&\u2028\u2029")
    assert json.loads(data)[0]["data"]["words"] == words


NUMBERS = st.floats() | st.sampled_from([1e308, -1e308, 5e-324])
COMPARED = st.builds(
    Compared, reported=st.none() | NUMBERS, recovered=st.none() | NUMBERS, right=NUMBERS, tolerance=NUMBERS
)


@st.composite
def recovered_steps(draw: st.DrawFn) -> StepWeights:
    """What a `recovered.json` from elsewhere may hold: any numbers, and lists that do not fit each other."""
    few = st.integers(-2, 3)
    conversation = st.builds(
        ConversationWeights,
        rank=few,
        micro_batch=few,
        row=st.none() | few,
        ids=st.lists(st.integers(-5, 200), max_size=4),
        trained=st.lists(st.booleans(), max_size=4),
        weights=st.lists(NUMBERS, max_size=4),
    )
    names = HOSTILE | st.just("model.layers.1.mlp.up_proj.weight")
    tensor = st.builds(
        TensorStep, name=names, moved=NUMBERS, off=NUMBERS, learning_rate=NUMBERS, weight_decay=NUMBERS,
        right_decay=NUMBERS,
    )  # fmt: skip
    return draw(
        st.builds(
            StepWeights,
            step=few,
            targets=few,
            right=NUMBERS,
            tolerance=NUMBERS,
            residual=NUMBERS,
            residual_tolerance=NUMBERS,
            loss=COMPARED,
            grad_norm=COMPARED,
            learning_rate=COMPARED,
            tensors=st.lists(tensor, max_size=2),
            conversations=st.lists(conversation, max_size=2),
        )
    )


@dataclass(frozen=True)
class Drawn(Cell):
    """A cell of which everything was recovered."""

    found: tuple[StepWeights, ...] = ()

    @property
    def steps(self) -> tuple[StepWeights, ...]:
        return self.found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(recovered_steps(), min_size=1, max_size=3))
def test_whatever_was_recovered_makes_a_page_whose_data_a_browser_reads(steps: list[StepWeights]) -> None:
    one = Drawn(CellRecord(framework="torch", version="1", scenario="s", verdict="fail"), None, tuple(steps))
    page = Page(Pages(Source(Path("run"), Verdict(cells=[one.record]), (one,))).cell(one, None))
    (data,) = [text for text in page.scripts if text.strip()]

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    figures = json.loads(data, parse_constant=refuse)["figures"]
    assert len({f["id"] for f in figures}) == len(figures)
    assert all(any(line["kinds"] for line in f["data"]["lines"]) for f in figures if f["chart"] == "weights")
    assert all(f["data"]["found"] for f in figures if f["chart"] == "rule")
    assert {f["id"] for f in figures} <= {value for _, name, value in page.attributes if name == "id"}
    assert set(page.tags) <= OWN


# ---- what is told


def test_every_cell_has_a_page_that_the_index_leads_to(tmp_path: Path) -> None:
    found = every_outcome()
    out = written(found, tmp_path)
    index = read(out / "index.html")
    assert f"{len(found.cells)} cells" in index.text
    for record in found.cells:
        assert [path for path in index.of("a", "href") if read_name(out / path) == record.name], record.name
        for diagnosis in record.diagnoses:
            assert diagnosis.summary in index.text
            assert (diagnosis.remedy or "") in index.text


def read_name(path: Path) -> str:
    """The cell that a page is of; empty for what is no page of the report."""
    if not path.is_file():
        return ""
    page = path.read_text(encoding="utf-8")
    return page.partition("<title>")[2].partition("</title>")[0].partition(": ")[2]


def test_why_something_is_unsupported_stands_under_the_matrix(pages: Path) -> None:
    assert f"torch==old on {SCENARIO}: torch old has no AdamW" in read(pages / "index.html").text


def test_weights_that_mean_nothing_are_not_drawn(planted: Path) -> None:
    """Half of the gradient of the second step comes from elsewhere, as where attention leaks."""
    one = next(c for c in source.load(planted).cells if c.record.version == DROPPED)
    first, second, *_ = one.steps
    found = Drawn(one.record, None, (first, second.model_copy(update={"residual": 0.5})))
    page = Page(Pages(Source(Path("run"), Verdict(cells=[one.record]), (found,))).cell(found, None))
    assert "What each token weighed cannot be told at step 1: much of the gradient comes from" in page.text
    assert "Step 0: what each token weighed" in page.text
    assert "Step 1: what each token weighed" not in page.text
    alone = Drawn(one.record, None, found.steps[1:])
    page = Page(Pages(Source(Path("run"), Verdict(cells=[one.record]), (alone,))).cell(alone, None))
    assert "cannot be told at step 1" in page.text
    assert "There is no weight map" not in page.text


def test_no_link_is_dead(pages: Path) -> None:
    for path in pages.rglob("*.html"):
        page = read(path)
        ids = set(page.of("section", "aria-labelledby"))
        assert ids <= {value for _, name, value in page.attributes if name == "id"} | {"main"}
        for address in [*page.of("a", "href"), *page.of("script", "src"), *page.of("link", "href")]:
            if not address.startswith(("http", "#", "data:")):
                assert (path.parent / unquote(address)).exists(), (path.name, address)


def test_the_page_of_a_crash_ends_with_its_log(pages: Path) -> None:
    page = read(pages / "cells" / f"torch-crashed-{SCENARIO}.html")
    assert "rank 1 died" in page.text
    assert "RuntimeError: <b>out</b> of luck" in page.text


def test_what_ran_is_told(pages: Path, planted: Path) -> None:
    header = json.loads((planted / "cells" / DROPPED / "header.json").read_text())
    page = read(pages / "cells" / f"torch-{DROPPED}-{SCENARIO}.html")
    for name, number in header["packages"].items():
        assert f"{name}=={number}" in page.text
    assert header["python"] in page.text
    assert f"lockstep run --framework torch --fault {DROPPED}" in page.text
    assert "Micro-batches 1-2: no weight at all, and should have" in page.text


def test_a_run_of_an_older_lockstep_is_told_to_have_no_weights(planted: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(planted, tmp_path / "run", ignore=shutil.ignore_patterns("recovered.json", "html", "made"))
    out = html.write(source.load(folder), folder / "html").parent
    page = read(out / "cells" / f"torch-{DROPPED}-{SCENARIO}.html")
    assert "There is no weight map: this trace was judged by an older Lockstep" in page.text
    assert f"lockstep judge {folder} --write" in page.text
    assert "Micro-batches 1 and 2 of 4 never reached the optimizer" in page.text or "micro-batches 1 and 2" in page.text


def test_a_trace_that_is_gone_is_told_as_that(planted: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(planted, tmp_path / "run", ignore=shutil.ignore_patterns("html", "made"))
    shutil.rmtree(folder / "cells" / DROPPED)
    out = html.write(source.load(folder), folder / "html").parent
    page = read(out / "cells" / f"torch-{DROPPED}-{SCENARIO}.html")
    assert "There is no weight map: its trace is not in the run's folder any more." in page.text
    assert "older Lockstep" not in page.text
    assert "There is no trace: it is not in the run's folder any more." in page.text


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Verdict(complete=True), "Nothing was run: the run holds no cell."),
        (Verdict(), "Nothing so far."),
        (Verdict(cells=[PASSED]), "Nothing so far."),
        (Verdict(cells=[PASSED.model_copy(update={"verdict": "unsupported"})], complete=True),
         "Nothing was measured: no release can express its scenario."),
        (Verdict(cells=[PASSED], complete=True), "Nothing: every cell that could be judged is as it should be."),
    ],
)  # fmt: skip
def test_a_run_is_told_as_right_only_where_something_was_measured(found: Verdict, said: str) -> None:
    index, _ = rendered(found)
    assert said in index.text
    assert ("as it should be" in index.text) == (said.endswith("as it should be."))
    assert ("not complete" in index.text) == (not found.complete)


def test_every_region_and_article_has_a_name_of_its_own(pages: Path) -> None:
    for path in pages.rglob("*.html"):
        page = read(path)
        ids = [value for _, name, value in page.attributes if name == "id"]
        assert len(ids) == len(set(ids))
        assert page.tags["article"] == len(page.of("article", "aria-labelledby"))
        named = page.of("section", "aria-labelledby") + page.of("article", "aria-labelledby")
        assert len(named) == len(set(named))
        assert set(named) <= set(ids)
        assert "region" not in page.of("div", "role")


def test_the_index_has_the_command_that_shows_each_trouble_again(pages: Path, planted: Path) -> None:
    index = read(pages / "index.html")
    for record in verdict.read(planted).cells:
        assert ((record.command or "no command") in index.text) == (record.verdict == "fail")


def test_a_broken_trace_is_told_and_the_others_are_there(planted: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(planted, tmp_path / "run", ignore=shutil.ignore_patterns("html", "made"))
    (folder / "cells" / DROPPED / "header.json").write_text("{")
    (folder / "cells" / "right" / "recovered.json").write_text("[{}]")
    out = html.write(source.load(folder), folder / "html").parent
    assert "header.json: it is not JSON" in read(out / "cells" / f"torch-{DROPPED}-{SCENARIO}.html").text
    assert len(list((out / "cells").iterdir())) == len(source.load(folder).cells)


def test_with_its_traces_a_report_can_be_taken_elsewhere(planted: Path, tmp_path: Path) -> None:
    out = html.write(source.load(planted), tmp_path / "report", traces=True).parent
    away = Path(shutil.move(out, tmp_path / "away"))
    page = away / "cells" / f"torch-{DROPPED}-{SCENARIO}.html"
    (address,) = [a for a in read(page).of("a", "href") if a.endswith(".zip")]
    with ZipFile(page.parent / address) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        assert archive.testzip() is None
    trace = planted / "cells" / DROPPED
    assert names == {path.relative_to(trace).as_posix() for path in trace.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["vega.js", "charts.js", "lockstep.js", "lockstep.css"])
def test_what_the_pages_need_is_written_once(pages: Path, name: str) -> None:
    assert [path.parent.name for path in pages.rglob(name)] == ["assets"]


def test_nothing_is_asked_of_a_network(pages: Path) -> None:
    for path in pages.rglob("*.html"):
        page = read(path)
        (policy,) = [v for t, n, v in page.attributes if (t, n) == ("meta", "content") and "default-src" in v]
        assert policy.startswith("default-src 'none'; script-src 'self' file:;")
        assert "unsafe-eval" not in policy
        assert "connect-src" not in policy  # so that it is as default-src has it
