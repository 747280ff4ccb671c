"""Sums: every solution is right, by a count of its own; what is held out is in no training."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scenarios import sums, text
from scenarios.sums import MOST, Sum

TERMS = st.lists(st.integers(0, 9), min_size=2, max_size=MOST).map(tuple)
PROBLEMS = TERMS.map(Sum)


def number(words: list[str]) -> int:
    return int("".join(words))


@given(PROBLEMS)
def test_every_addition_of_a_solution_is_right_and_leads_to_the_next(problem: Sum) -> None:
    *additions, answer = problem.solution.split(f" {sums.NEXT} ")
    asked = [int(word) for word in problem.question.split(f" {sums.PLUS} ")]
    total = asked[0]
    for addition, term in zip(additions, asked[1:], strict=True):
        left, right = (part.split() for part in addition.split(f" {sums.EQUALS} "))
        plus = left.index(sums.PLUS)
        assert (number(left[:plus]), number(left[plus + 1 :])) == (total, term)
        total = number(right)
        assert total == number(left[:plus]) + term
    assert answer.split()[0] == sums.ANSWER
    assert number(answer.split()[1:]) == total == sum(asked) == problem.answer


@given(PROBLEMS)
def test_a_solution_solves_its_problem_and_no_other_answer_does(problem: Sum) -> None:
    words = problem.solution.split()
    assert problem.solved_by(words)
    assert problem.solved_by([sums.ANSWER, "9", *words])  # the last answer counts
    assert not problem.solved_by([*words, "0"])
    assert not problem.solved_by(words[:-1])
    assert not problem.solved_by(words[: words.index(sums.ANSWER)])
    assert not problem.solved_by([])


@given(PROBLEMS)
def test_a_row_is_made_of_the_vocabulary(problem: Sum) -> None:
    rendered = text.render(problem.row, sums.WORDS)
    trained = [sums.WORDS[i] for i, on in zip(rendered.ids, rendered.loss_mask, strict=True) if on]
    assert trained == [*problem.solution.split(), text.EOS]


@given(st.integers(1, 300), st.integers(0, 50))
def test_training_has_nothing_that_is_held_out_and_no_row_twice_near_itself(count: int, seed: int) -> None:
    rows = sums.for_training(count, seed)
    assert len(rows) == count
    assert not any(problem.held_out for problem in rows)
    for at in range(0, count, sums.APART):
        assert len(set(rows[at : at + sums.APART])) == len(rows[at : at + sums.APART])
    assert sums.for_training(count + 7, seed)[:count] == rows


def test_evaluation_has_different_problems_that_no_training_has() -> None:
    problems = sums.for_evaluation(200)
    assert len(set(problems)) == 200
    assert all(problem.held_out for problem in problems)
    assert sums.for_evaluation(50) == problems[:50]
    assert sums.for_training(50, 0) != sums.for_training(50, 1)


def test_lengths_of_solutions_are_strongly_uneven() -> None:
    lengths = [len(problem.solution.split()) for problem in sums.for_training(1000, 0)]
    assert min(lengths) <= 9
    assert max(lengths) >= 50
    assert 0.3 < sum(length <= 11 for length in lengths) / len(lengths) < 0.5
