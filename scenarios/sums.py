"""A task with answers that can be checked: sums of numbers below ten, worked term by term.

    <|user|> 7 + 5 + 9 <|assistant|> 7 + 5 = 1 2 ; 1 2 + 9 = 2 1 ; > 2 1 <eos>

Two in five sums have two terms, the others up to `MOST`, so that responses have from 9 to some 60 tokens.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from adapters.contract import Message, Row
from scenarios import text

PLUS, EQUALS, NEXT, ANSWER = "+", "=", ";", ">"
WORDS = (*text.SPECIAL, *"0123456789", PLUS, EQUALS, NEXT, ANSWER)
"""The vocabulary."""

MOST = 8
"""Terms of the longest sum."""
APART = 64
_TRAINING_STREAM, _HELD_OUT_STREAM = 104_729, 1_299_709  # apart from the draws of weights and of other rows
_KEPT_APART = 10  # one sum of so many


@dataclass(frozen=True)
class Sum:
    """A problem."""

    terms: tuple[int, ...]
    """Two or more, 0 to 9 each."""

    @property
    def question(self) -> str:
        return f" {PLUS} ".join(map(str, self.terms))

    @property
    def answer(self) -> int:
        return sum(self.terms)

    @property
    def solution(self) -> str:
        """Every addition, then the answer."""
        totals = itertools.accumulate(self.terms)
        steps = [
            f"{_spoken(total)} {PLUS} {term} {EQUALS} {_spoken(total + term)} {NEXT}"
            for total, term in zip(totals, self.terms[1:], strict=False)
        ]
        return " ".join([*steps, ANSWER, _spoken(self.answer)])

    @property
    def row(self) -> Row:
        return Message("user", self.question), Message("assistant", self.solution)

    @property
    def held_out(self) -> bool:
        """Whether it is for evaluation, and in no training."""
        return zlib.crc32(bytes(self.terms)) % _KEPT_APART == 0

    def solved_by(self, said: Sequence[str]) -> bool:
        """Whether the words of a response, its EOS left out, end in the right answer, however they come to it."""
        if ANSWER not in said:
            return False
        at = len(said) - 1 - list(said)[::-1].index(ANSWER)
        return " ".join(said[at + 1 :]) == _spoken(self.answer)


def _spoken(number: int) -> str:
    """One word a digit."""
    return " ".join(str(number))


def for_training(count: int, seed: int) -> list[Sum]:
    """Sums to train on, of which no `APART` in a row have one twice: what tokens of one step weigh could not be told
    apart. Equal on every machine."""
    return _first(count, _TRAINING_STREAM + seed, _apart)


def for_evaluation(count: int) -> list[Sum]:
    """As many different sums that no training has, the same whatever is trained. Few of them are short: of two terms
    there are a hundred sums in all."""
    return _first(count, _HELD_OUT_STREAM, lambda drawn: list(dict.fromkeys(one for one in drawn if one.held_out)))


def _first(count: int, stream: int, chosen: Callable[[Iterable[Sum]], list[Sum]]) -> list[Sum]:
    tried = 2 * count
    while len(found := chosen(_all(tried, stream))) < count:
        tried *= 2
    return found[:count]


def _apart(drawn: Iterable[Sum]) -> list[Sum]:
    found: list[Sum] = []
    for one in drawn:
        if not one.held_out and one not in found[-APART + 1 :]:
            found.append(one)
    return found


def _all(count: int, stream: int) -> Iterable[Sum]:
    each = MOST + 2  # draws: of how many terms, twice, and the terms
    draws = text.uniforms(stream, count * each)
    for at in range(0, len(draws), each):
        short, length, *terms = draws[at : at + each]
        size = 2 if short < 0.5 else 3 + int(length * (MOST - 2))
        yield Sum(tuple(int(10 * term) for term in terms[:size]))
