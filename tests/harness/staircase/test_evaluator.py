"""The evaluator is exact: of a model that knows, of one that knows other ways, and of one that knows nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.staircase import evaluator
from harness.staircase.evaluator import EOS, evaluate
from scenarios import sums, text
from scenarios.sums import MOST, Sum

INDEX = {word: i for i, word in enumerate(sums.WORDS)}
SURE = 50.0
PROBLEMS = st.lists(
    st.lists(st.integers(0, 9), min_size=2, max_size=MOST).map(lambda terms: Sum(tuple(terms))), min_size=1, max_size=6
)


class Knowing:
    """A model that answers each problem with words of its own choice: it is asked with a prefix of these alone."""

    def __init__(self, answers: dict[Sum, Sequence[str]]) -> None:
        self._answers = {
            evaluator._text(problem).prompt: [INDEX[w] for w in words] for problem, words in answers.items()
        }
        self.calls = 0

    def __call__(self, texts: Sequence[Sequence[int]]) -> list[Tensor]:
        self.calls += 1
        return [self._logits(tuple(ids)) for ids in texts]

    def _logits(self, ids: tuple[int, ...]) -> Tensor:
        begin = ids.index(INDEX[text.ASSISTANT]) + 1
        answer = [*self._answers[ids[:begin]], EOS]
        logits = torch.zeros(len(ids), len(sums.WORDS), dtype=torch.float64)
        for at in range(len(ids)):
            said = at + 1 - begin
            logits[at, answer[said] if 0 <= said < len(answer) else EOS] = SURE
        return logits


@given(PROBLEMS)
@settings(max_examples=30)
def test_a_model_that_knows_the_solutions_has_all_right_and_no_loss(problems: list[Sum]) -> None:
    model = Knowing({problem: problem.solution.split() for problem in problems})
    score = evaluate(model, problems)
    assert score.accuracy == 1.0
    assert score.nll == pytest.approx(0.0, abs=1e-12)
    assert model.calls == 1  # nothing is left to be decoded


@given(PROBLEMS, st.integers(0, 2**32))
@settings(max_examples=30)
def test_as_many_are_right_as_the_model_answers_right(problems: list[Sum], chosen: int) -> None:
    problems = list(dict.fromkeys(problems))
    right = {problem for i, problem in enumerate(problems) if chosen >> i & 1}
    wrong = {problem: [sums.ANSWER, *str(problem.answer + 1)] for problem in problems}
    answers = {p: p.solution.split() if p in right else wrong[p] for p in problems}
    assert evaluate(Knowing(answers), problems).accuracy == len(right) / len(problems)


def test_another_way_to_the_right_answer_is_right() -> None:
    problem = Sum((3, 4, 5))
    assert evaluate(Knowing({problem: [sums.ANSWER, "1", "2"]}), [problem]).accuracy == 1.0


def test_a_response_that_does_not_end_is_wrong() -> None:
    problem = Sum((3, 4, 5))
    endless = [*problem.solution.split(), *["1"] * 200]
    assert evaluate(Knowing({problem: endless}), [problem]).accuracy == 0.0


def test_the_loss_is_the_mean_over_all_tokens_of_all_solutions() -> None:
    def nothing(texts: Sequence[Sequence[int]]) -> list[Tensor]:
        return [torch.zeros(len(ids), len(sums.WORDS), dtype=torch.float64) for ids in texts]

    problems = [Sum((1, 2)), Sum((1, 2, 3, 4))]
    assert evaluate(nothing, problems).nll == pytest.approx(math.log(len(sums.WORDS)))
