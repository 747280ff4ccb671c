"""The tokenizer of a scenario, and what else its checkpoint brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adapters.contract.checking import require

PadToken = Literal["own", "eos", "none"]
Side = Literal["right", "left"]

BOS = "<bos>"
SPACE = "Ġ"
"""How byte-level BPE writes a space; a token of vocabularies that are made of pieces."""


@dataclass(frozen=True)
class Tokenizer:
    """One token a word."""

    vocabulary: tuple[str, ...]
    """Its words, id by id; `scenarios.text` owns the special ones."""
    processor: bool = False
    """Whether the checkpoint ships a multimodal processor, though every row is text."""

    pad_token: PadToken = "own"
    """What rows are filled up with: a token of its own, the EOS, or none that the tokenizer and `config.json` name,
    where trainers then take the EOS. A real EOS is a token like any other all the same: trained, attended to, read."""
    bos: bool = False
    """Whether every row begins with a BOS, `<bos>` in the vocabulary: the chat template writes it, and the tokenizer
    puts one before a text where it is asked to add special tokens."""
    system: str = ""
    """Words that the chat template lets every conversation begin with as the system's message, for no row has one."""
    trailing_space: bool = False
    """Whether the chat template writes a space behind the last EOS, which is no token: not so with a vocabulary of
    pieces, which has none of this."""
    padding_side: Side = "right"
    """Where the rows of a micro-batch are filled up to the longest; positions count a row's own tokens."""

    def check(self, rows: int, extra_rows: int = 0) -> None:
        """Raises ValueError, in one line. rows: of the model's embedding, so many of them beyond the vocabulary."""
        words = self.vocabulary
        require(len(set(words)) == len(words), "tokenizer.vocabulary", "repeating a word", "one id a word")
        wanted = "model.vocab_size" + " less model.extra_rows" * bool(extra_rows)
        require(len(words) == rows - extra_rows, "tokenizer.vocabulary", f"{len(words)} long", wanted)
        require(not self.bos or BOS in words, "tokenizer.bos", self.bos, f"False, as the vocabulary has no {BOS!r}")
        no_token = not self.trailing_space or SPACE not in words
        require(no_token, "tokenizer.trailing_space", True, f"False, as {SPACE!a} is a token of the vocabulary")
        known = all(word in words for word in self.system.split())
        require(known, "tokenizer.system", ascii(self.system[:60]), "made of words of the vocabulary")
