"""The byte-level BPE: every word is one piece, by merges alone. In `test_checkpoint.py` transformers loads it."""

from __future__ import annotations

from itertools import pairwise

from adapters.contract import SPACE
from scenarios import pieces, text

WORDS = text.vocabulary(128)
VOCABULARY = pieces.vocabulary(WORDS)


def merged(word: str) -> list[str]:
    """Byte-pair encoding (Sennrich et al. 2016): the merge that comes first is made first, until none is left."""
    rank = {tuple(merge.split()): i for i, merge in enumerate(pieces.merges(VOCABULARY))}
    parts = list(word)
    while pairs := [(rank[pair], i) for i, pair in enumerate(pairwise(parts)) if pair in rank]:
        _, at = min(pairs)
        parts[at : at + 2] = ["".join(parts[at : at + 2])]
    return parts


def test_words_keep_their_ids_and_pieces_come_behind() -> None:
    assert VOCABULARY[:128] == WORDS
    assert len(set(VOCABULARY)) == len(VOCABULARY)


def test_every_word_is_one_piece() -> None:
    spaced = [f"{SPACE}{word}" for word in WORDS[len(text.SPECIAL) :]]
    assert [merged(word) for word in spaced] == [[word] for word in spaced]


def test_every_piece_of_a_merge_has_an_id() -> None:
    model = pieces.tokenizer_files(VOCABULARY, 64)["tokenizer.json"]["model"]
    assert sorted(model["vocab"].values()) == list(range(len(VOCABULARY)))
    for merge in model["merges"]:
        left, right = merge.split()
        assert {left, right, left + right} <= set(model["vocab"])


def test_the_template_says_the_same_without_spaces() -> None:
    said = pieces.CHAT_TEMPLATE.replace(" ", "")
    assert [said.count(word) for word in ("<|user|>", "<|assistant|>", "<eos>")] == [
        text.CHAT_TEMPLATE.count(word) for word in ("<|user|>", "<|assistant|>", "<eos>")
    ]
    assert "> '" not in pieces.CHAT_TEMPLATE
    assert "' '" not in pieces.CHAT_TEMPLATE
