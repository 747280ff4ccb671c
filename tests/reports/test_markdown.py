"""The Markdown page: what it says, that no text from elsewhere is read as Markdown, and that it fits."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from syrupy.assertion import SnapshotAssertion

from harness import printable
from harness.verdicts.verdict import Verdict
from reports import markdown
from tests.harmless import hidden, live
from tests.reports.made import HOSTILE, every_outcome, many, verdicts
from tests.reports.test_terminal import cell

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
"""As GitHub reads it, but for links without brackets."""


def tokens(text: str) -> list[Token]:
    return [token for block in READER.parse(text) for token in [block, *(block.children or [])]]


def shown(text: str) -> str:
    """What a reader sees of it."""
    return "".join(t.content for t in tokens(text) if t.type in ("text", "text_special", "code_inline"))


def test_every_outcome(snapshot: SnapshotAssertion) -> None:
    assert markdown.page(every_outcome(), ".runs/one") == snapshot


def test_nothing_at_all(snapshot: SnapshotAssertion) -> None:
    assert markdown.page(Verdict(), "here") == snapshot
    assert "**Nothing was run: the run holds no cell.**" in markdown.page(Verdict(complete=True), "here")


def test_the_worst_comes_first() -> None:
    headings = re.findall(r"^## . (\w+)", markdown.page(every_outcome(), "x"), re.MULTILINE)
    assert headings == ["FAIL", "FAIL", "unknown", "accepted", "unsupported"]


HARMLESS = {"bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close", "paragraph_open", "inline"}
HARMLESS |= {"text", "text_special", "paragraph_close", "code_inline"}


@given(HOSTILE)
def test_a_text_is_read_as_it_is(text: str) -> None:
    """In a paragraph and in a list, as itself and nothing else: it calls nobody, and leads nowhere."""
    for lead in ("", "- "):
        read = tokens(lead + markdown.escaped(text))
        assert {t.type for t in read} <= HARMLESS
        assert shown(lead + markdown.escaped(text)) == printable.line(text) or not printable.line(text)
        assert not live(lead + markdown.escaped(text))


@given(HOSTILE)
def test_links_of_our_own_lead_to_where_they_say(text: str) -> None:
    page = markdown.escaped(text, linked=True)
    assert {t.type for t in tokens(page)} <= HARMLESS | {"link_open", "link_close"}
    assert not live(page)
    assert shown(page) == printable.line(text) or not printable.line(text)


@given(HOSTILE, HOSTILE)
def test_a_text_stays_in_its_square(one: str, other: str) -> None:
    read = tokens(markdown.table(["a", "b"], [[markdown.escaped(one), markdown.escaped(other)]]))
    assert [t.type for t in read].count("td_open") == 2
    said = [t.content for t in read if t.type == "inline"][2:]
    assert len(said) == 2


@settings(max_examples=50, deadline=None)
@given(verdicts())
def test_no_verdict_makes_other_markup_than_the_pages_own(verdict: Verdict) -> None:
    page = markdown.page(verdict, "run's\n`folder`")
    read = tokens(page)
    assert not {t.type for t in read} & {"html_block", "html_inline", "image", "blockquote_open", "hr"}
    assert not live(page)
    assert not hidden(page)
    assert len(page.encode()) < 2**20
    assert sum(t.type == "heading_open" and t.tag == "h1" for t in read) == 1


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 400))
def test_a_page_fits_and_counts_what_is_left_out(count: int) -> None:
    page = markdown.page(many(count), "x")
    assert len(page.encode()) <= markdown.LIMIT
    left = re.search(r"(\d+) more cells? would not fit", page)
    assert len(re.findall(r"^## ❌", page, re.MULTILINE)) + int(left.group(1) if left else 0) == count


def test_the_first_cells_are_those_that_are_shown() -> None:
    page = markdown.page(many(400), "x")
    assert "number 0 is wrong" in page
    assert "number 399 is wrong" not in page


def test_a_table_that_does_not_fit_is_left_out_whole() -> None:
    cells = [cell("torch", f"{i}.0", f"scenario-{j}") for i in range(150) for j in range(150)]
    page = markdown.page(Verdict(cells=cells, complete=True), "x")
    assert "does not fit" in page
    assert "22500 cells: 22500 pass" in page
    assert len(page) < 1000


def test_a_command_is_whole_and_a_fence_cannot_be_left() -> None:
    wrong = cell("torch", "1", "s", "fail", command="lockstep run ```` --out `x`")
    page = markdown.page(Verdict(cells=[wrong], complete=True), "x")
    (fence,) = [t for t in tokens(page) if t.type == "fence"]
    assert fence.content == "lockstep explain x torch==1/s\nlockstep run ```` --out `x`\n"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("1/gradient_accumulation_steps", "1/gradient_accumulation_steps"),
        ("use deepspeed>=0.19.8", "use deepspeed>=0.19.8"),
        ("see https://x.org/a_b.", "see `https://x.org/a_b`."),
        ("torch==2.13.0 on sft-ragged@1, sft-equal@12", "torch==2.13.0 on sft-ragged@1, sft-equal@12"),
        ("ask @octocat (or me@x.org), see #12!", "ask `@octocat` (or `me@x.org`), see `#12`\\!"),
        ("# 12 of 40 %", "\\# 12 of 40 %"),
        ("/close", "\\/close"),
        ("2.13.0", "2.13.0"),
    ],
)
def test_no_more_is_escaped_than_needs_be(text: str, escaped: str) -> None:
    assert markdown.escaped(text) == escaped


def test_addresses_of_our_own_are_links() -> None:
    shown = markdown.escaped("fixed (https://x.org/a_b), by @octocat; http://x.org", linked=True)
    assert shown == "fixed (<https://x.org/a_b>), by `@octocat`; `http://x.org`"
