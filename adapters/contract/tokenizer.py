"""The tokenizer of a scenario, and what else its checkpoint brings."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.contract.checking import require


@dataclass(frozen=True)
class Tokenizer:
    """One token a word."""

    vocabulary: tuple[str, ...]
    """Its words, id by id; `scenarios.text` owns the special ones."""
    processor: bool = False
    """Whether the checkpoint ships a multimodal processor, though every row is text."""

    def check(self, vocab_size: int) -> None:
        """Raises ValueError, in one line."""
        words = self.vocabulary
        require(len(set(words)) == len(words), "tokenizer.vocabulary", "repeating a word", "one id a word")
        require(len(words) == vocab_size, "tokenizer.vocabulary", f"{len(words)} long", "model.vocab_size")
