"""What ends answers, told of the tokens that were trained; and what becomes of rows that are too long."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.validation.found import cut, texts, turns, vocabulary
from harness.validation.found.texts import Text
from harness.validation.found.vocabulary import Vocabulary
from lockstep_recorder.batch import CROSSING, PADDING, TOLD, TRAINED

BOS, START, END, EOS, ADDED = 100, 101, 102, 103, 104
NAMES = {BOS: "<s>", START: "<start>", END: "<end>", EOS: "</s>", ADDED: "<other>"}
WORDS = Vocabulary(NAMES, BOS, frozenset({EOS}), END, frozenset({START, END}))
PLAIN = WORDS.without_template()


def text(ids: Sequence[int], trained: Sequence[int], told: bool = True) -> Text:
    """trained: places."""
    return Text(tuple(ids), tuple(at in trained for at in range(len(ids))), told, len(ids) + 1)


RIGHT = text([START, 1, END, 9, START, 2, 3, END, 9], [5, 6, 7, 8])
TWO = text([START, 1, END, START, 2, END, START, 1, END, START, 2, 3, END], [4, 5, 10, 11, 12])


@pytest.mark.parametrize(
    ("found", "words", "said", "odd"),
    [
        (RIGHT, WORDS, "each ended by <end>, which is trained", None),
        (TWO, WORDS, "each ended by <end>, which is trained", None),
        (text([START, 1, END, START, 2, EOS], [4, 5]), WORDS, "each ended by </s>, which is trained", None),
        (text([START, 1, END, START, 2, ADDED], [4, 5]), WORDS,
         "the model's own template ends an answer with <end>", "answers end with <other>, those of the model's own"),
        (text([START, 1, END, START, 2, END], [4]), WORDS,
         "<end> ends them, and is not trained", "does not learn to stop"),
        (text([START, 1, END, START, 2, 3], [4, 5]), WORDS, "no token ends the answers", "no token ends the answers"),
        (text([5, 6, 7, EOS], [2, 3]), WORDS,
         "without <start> or <end>, which the model's own", "have none of <start> or"),
        (text([BOS, 6, 7, EOS], [2, 3]), PLAIN, "texts begin with <s> twice", "begin with <s> twice: the template"),
        (text([6, 7, EOS], [1, 2]), PLAIN, "each ended by </s>, which is trained", None),
        (text([6, 7, EOS], [0, 1, 2], told=False), PLAIN, "", None),
    ],
)  # fmt: skip
def test_how_texts_are_written(found: Text, words: Vocabulary, said: str, odd: str | None) -> None:
    seen = turns.of([found, found], words)
    assert said in turns.told(seen, words)
    sentences = turns.odd(seen, words)
    assert not sentences if odd is None else any(odd in sentence for sentence in sentences)


@given(st.lists(st.booleans(), max_size=20))
def test_runs_of_trained_tokens(trained: list[bool]) -> None:
    runs = list(text(range(len(trained)), [at for at, one in enumerate(trained) if one]).ends())
    assert [at for first, last in runs for at in range(first, last + 1)] == [
        at for at, one in enumerate(trained) if one
    ]
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(runs))


WHOLE = [text([7, 8, 1, 2, END], [3, 4]), text([7, 8, 3, END], [2, 3]), text([7, 8, 1, END], [2, 3])]


@pytest.mark.parametrize(
    ("long", "said"),
    [
        ([text([7, 8, 1, 2, 3, 4, 5], [4, 5, 6])],
         "1 row has 8 tokens, the most here, cut at the end; 3 of them trained; what ends an answer is lost"),
        ([text([1, 2, 3, 4, 5, 6, END], [6]), text([1, 2, 3, 4, 5, 6, END], [5, 6])],
         "2 rows have 8 tokens, the most here, cut at the beginning; 1 to 2 of them trained; the last token is <end>"),
        ([text([7, 8, 1, 2, 3, 4, 5], [])], "none of them is trained"),
    ],
)  # fmt: skip
def test_rows_that_are_cut(long: list[Text], said: str) -> None:
    assert said in (cut.told([*WHOLE, *long], 8, WORDS) or "")


def test_where_nothing_is_cut_nothing_is_told() -> None:
    assert cut.told(WHOLE, 8, WORDS) is None
    assert cut.told([*WHOLE, text(range(7), [])], None, WORDS) is None
    assert cut.told([text(range(7), [])] * 2, 8, WORDS) is None
    assert cut.longest(None) is None
    assert cut.longest(64) == 64
    assert cut.longest(4096) == 128


def test_texts_of_a_recording(tmp_path: Path) -> None:
    """Padding, and the token that another text begins with, are no part of a text."""
    kinds = [TOLD, TOLD | TRAINED, TOLD | CROSSING, TOLD | TRAINED, TOLD | PADDING]
    tensors = {
        "token/target": torch.tensor([5, 6, 7, 8, 9]),
        "token/kind": torch.tensor(kinds, dtype=torch.uint8),
        "token/pass": torch.zeros(5, dtype=torch.int64),
        "token/text": torch.tensor([0, 0, 0, 1, 1]),
    }
    found = list(texts._of_tensors(tensors))
    assert found == [Text((5, 6), (False, True), True, 3), Text((8,), (True,), True, 2)]
    assert not list(texts._of_tensors({}))


@pytest.mark.parametrize(("before", "after", "end"), [([BOS, START, 1], [END, 9], END), (None, None, None)])
def test_what_a_checkpoint_tells(
    tmp_path: Path, before: list[int] | None, after: list[int] | None, end: int | None
) -> None:
    special = {str(id_): token for id_, token in NAMES.items() if id_ != ADDED}
    told = {"special": special, "bos": BOS, "eos": [EOS], "before": before, "after": after}
    (tmp_path / "tokens.json").write_text(json.dumps(told))
    (tmp_path / "added.json").write_text(json.dumps({"<other>": ADDED, "</s>": EOS}))
    words = vocabulary.read(tmp_path, tmp_path)
    assert words.special == NAMES
    assert words.end == end
    assert words.marks == (frozenset({START}) if before else frozenset())
