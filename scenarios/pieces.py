"""A byte-level BPE whose merges make one token of every word of `scenarios.text`, for families that load no other.

transformers takes the class of Qwen 2's tokenizer from the model from 5.9 on, whatever the checkpoint says
(MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS in models/auto/tokenization_auto.py), and that one makes its own BPE of the
checkpoint's vocabulary and merges: a tokenizer of words would lose every word. Ids of words and special tokens are
those of `scenarios.text`; the pieces that words are merged from come behind them, and occur in no row. Every word has
a space before it, at the start of a text too.
"""

from __future__ import annotations

import functools
from typing import Any

from adapters.contract import BOS, SPACE
from scenarios import text

CHAT_TEMPLATE = functools.reduce(
    lambda template, change: template.replace(*change),
    [
        ("|> '", "|>'"),
        ("' <eos>'", "'<eos>'"),
        (" + ' ' }}", " }}"),
        ("{% if not loop.last %}{{ ' ' }}{% endif %}", ""),
    ],
    text.CHAT_TEMPLATE,
)
"""That of the words without its spaces: each would be a token of its own before a special one."""


def vocabulary(words: tuple[str, ...]) -> tuple[str, ...]:
    """`words`, special ones first, and behind them the pieces that they are merged from."""
    spoken = _spoken(words)
    letters = sorted({letter for word in spoken for letter in word})
    syllables = sorted({word[at : at + 2] for word in spoken for at in (0, 2)})
    openings = sorted({SPACE + word[:2] for word in spoken})
    return (*words, SPACE, *letters, *syllables, *openings)


def _spoken(words: tuple[str, ...]) -> list[str]:
    return [word for word in words[len(text.SPECIAL) :] if word != BOS]


def merges(vocabulary: tuple[str, ...]) -> list[str]:
    """Two letters make a syllable, a space and a syllable an opening, that and another syllable a word."""
    pieces = vocabulary[vocabulary.index(SPACE) + 1 :]
    syllables = [f"{piece[0]} {piece[1]}" for piece in pieces if len(piece) == 2]
    openings = [f"{SPACE} {piece[1:]}" for piece in pieces if len(piece) == 3]
    spoken = _spoken(vocabulary[: vocabulary.index(SPACE)])
    return [*syllables, *openings, *(f"{SPACE}{word[:2]} {word[2:]}" for word in spoken)]


def tokenizer_files(vocabulary: tuple[str, ...], max_positions: int) -> dict[str, dict[str, Any]]:
    """As `text.tokenizer_files`."""
    files = text.tokenizer_files(vocabulary, max_positions)
    tokenizer, config = files["tokenizer.json"], files["tokenizer_config.json"]
    end = vocabulary.index(SPACE)
    special = {word: i for i, word in enumerate(vocabulary) if word in (*text.SPECIAL, BOS)}
    words = {f"{SPACE}{word}": i for i, word in enumerate(vocabulary[:end]) if word not in special}
    pieces = {piece: end + i for i, piece in enumerate(vocabulary[end:])}
    tokenizer |= {
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": special | words | pieces,
            "merges": merges(vocabulary),
            "unk_token": None,
            "dropout": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
        },
    }
    config |= {
        "tokenizer_class": "Qwen2Tokenizer",
        "bos_token": None,
        "add_prefix_space": True,
        "chat_template": CHAT_TEMPLATE,
    }
    return files
