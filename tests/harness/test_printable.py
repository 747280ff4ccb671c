"""One function makes text printable: its laws, and what each kind of sign becomes."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import printable
from tests.harmless import hidden
from tests.reports.made import HOSTILE


@given(HOSTILE, st.integers(2, 50))
def test_a_line_is_one_printable_line(text: str, most: int) -> None:
    line = printable.line(text, most)
    assert not hidden(line)
    assert "\n" not in line
    assert len(line) <= most
    assert printable.line(line, most) == line


@given(HOSTILE)
def test_a_block_has_as_many_lines_and_hides_nothing(text: str) -> None:
    block = printable.block(text)
    assert block.count("\n") == text.count("\n")
    assert not hidden(block)
    assert printable.block(block) == block


@given(st.text(alphabet=st.characters(categories=["Lu", "Ll", "N", "P", "Sc", "Sm"], exclude_characters=":#")))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert printable.printable(text) == text


def test_what_is_cut_says_so() -> None:
    assert printable.line("abcdef", 4) == "abc…"
    assert printable.line("abc\x1b", 5) == "abc\\…"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("a\x00b\x7f", "a\\x00b\\x7f"),
        ("abc\rdef\nghi\u2028jkl", "abc\\x0ddef\\x0aghi\\u2028jkl"),
        ("user\u202exe.nimda", "user\\u202exe.nimda"),
        ("a\u2066b\u2069\u200e\u200f\u061c", "a\\u2066b\\u2069\\u200e\\u200f\\u061c"),
        ("a\u200bb\ufeff\u00ad", "a\\u200bb\\ufeff\\xad"),
        ("a\U000e0041\U000e0100b", "a\\U000e0041\\U000e0100b"),
        ("\ud800", "\\ud800"),
        ("a\u00a0b\tc\u3000d", "a b c d"),
        ("::error title=x::y", "\\x3a:error title=x::y"),
        ("  ::add-mask::y", "  \\x3a:add-mask::y"),
        ("a ##[error]b ##vso[task.x] ##teamcity[y]", "a \\x23#[error]b \\x23#vso[task.x] \\x23#teamcity[y]"),
        ("torch::autograd, issue #12, ## x", "torch::autograd, issue #12, ## x"),
        ("日本語 é ü ß 🙂 ⚠️ → …", "日本語 é ü ß 🙂 ⚠️ → …"),
    ],
)
def test_what_each_kind_becomes(text: str, shown: str) -> None:
    assert printable.printable(text) == shown


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.booleans())
def test_a_json_document_hides_nothing_and_is_the_same_data(value: object, as_ascii: bool) -> None:
    shown = printable.json(json.dumps(value, ensure_ascii=as_ascii, indent=1))
    assert not hidden(re.sub("::|##", "", shown))
    assert json.loads(shown) == value
