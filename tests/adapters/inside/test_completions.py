"""Where an answer begins, whether it ends, and what of it is trained."""

from __future__ import annotations

from adapters.contract import vary
from adapters.inside import completions
from adapters.inside.data import Tokens
from scenarios import catalogue

SCENARIO = catalogue.get("grpo-token")
WORDS = SCENARIO.tokenizer.vocabulary
EOS, WORD = WORDS.index("<eos>"), len(WORDS) - 1


def row(*ids: int, response: tuple[int, ...]) -> Tokens:
    return Tokens(ids, response, response)


def test_the_last_answer_is_what_was_sampled() -> None:
    assert completions.begins(row(*[WORD] * 6, response=(0, 1, 1, 0, 1, 1))) == 4
    assert completions.begins(row(WORD, EOS, response=(0, 1))) == 1


def test_what_does_not_end_is_not_trained_where_it_is_masked() -> None:
    rows = [row(WORD, WORD, EOS, response=(0, 1, 1)), row(WORD, WORD, WORD, response=(0, 1, 1))]
    assert completions.trained(rows, SCENARIO) == rows
    ended, cut = completions.trained(rows, vary(SCENARIO, truncated="masked"))
    assert ended == rows[0]
    assert (cut.loss_mask, cut.response) == ((0, 0, 0), rows[1].response)
