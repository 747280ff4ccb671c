"""What the named scenarios are made from: conversations, pairs of answers, and groups of completions."""

from __future__ import annotations

from adapters.contract import Data, Model, Scenario, Tokenizer, Window, vary
from scenarios import text
from scenarios.rows import conversations, of_one_question


def compose(response_lengths: tuple[int, ...], steps: int, seed: int, words: tuple[str, ...] | None = None) -> Scenario:
    """The base with given response lengths for each row of a step; later steps rotate them, with other words."""
    model = Model()
    words = words or text.vocabulary(model.vocab_size)
    return Scenario(
        name="base",
        data=Data(conversations(words, response_lengths, len(response_lengths), steps, seed)),
        tokenizer=Tokenizer(words),
        model=model,
        window=Window(steps=steps),
        seed=seed,
    )


def pairs(seed: int) -> Scenario:
    """8 pairs a step: 2 ranks x 4 micro-batches x 1 pair, chosen and rejected answers of one question."""
    base = compose((9, 4, 14, 41, 38, 6, 2, 26, 11, 23, 5, 17, 30, 8, 3, 20), 3, seed)
    rows = of_one_question(base.data.rows, 2)
    return vary(base, rows=rows, micro_batch_size=2, method="dpo", beta=0.1)


def groups(seed: int, steps: int = 2) -> Scenario:
    """16 completions a step, 4 of each question: 2 ranks x 4 micro-batches x 2. One of them is its EOS alone, one does
    not end, and in one group all have the same reward."""
    size, base = 4, compose((9, 4, 14, 1, 38, 6, 2, 26, 11, 23, 5, 17, 30, 8, 3, 20), steps, seed)
    rows = of_one_question(base.data.rows, size)
    scores = (1, 0, 0, 0.25, 0, 1, 1, 0.5, 0.125, 0.125, 0.125, 0.125, 0, 0, 0, 1)
    rewards = tuple(float(scores[(i + size * (i // 16)) % 16]) for i in range(len(rows)))
    changed = vary(base, rows=rows, micro_batch_size=2, method="grpo", group_size=size, rewards=rewards)
    return vary(changed, max_length=40, clip_low=0.2, clip_high=0.28, max_grad_norm=None)


def over_deviation(scenario: Scenario) -> Scenario:
    """Advantages over their group's standard deviation, of rewards so large that what frameworks add to it, up to 1e-4,
    rounds off."""
    rewards = tuple(1000 * reward for reward in scenario.objective.rewards)
    return vary(scenario, advantage="group-std", rewards=rewards)
