"""Scenarios of any geometry, drawn by Hypothesis: small enough to be trained and judged in a moment."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from adapters.contract import Data, Model, Optimizer, Scenario, Schedule, Tokenizer, Window
from scenarios import text

MODEL = Model(vocab_size=96, hidden_size=24, layers=1, heads=2, kv_heads=1, intermediate_size=48)
TOKENS = 220
"""Of a global batch at most: columns must stay far fewer than parameters, and the Gram matrix small."""
OVERHEAD = 4
"""Tokens of a conversation beside its response: two marks of roles and the shortest prompt, rounded up."""


@st.composite
def geometries(draw: st.DrawFn) -> Scenario:
    """Ranks, accumulation, micro-batch size and packing first; then responses as long as the budget of tokens lets."""
    ranks = draw(st.integers(1, 4), label="ranks")
    accumulation = draw(st.integers(1, 8), label="accumulation")
    room = TOKENS // (ranks * accumulation * (OVERHEAD + 2))
    micro_batch = draw(st.integers(1, min(3, max(1, room))), label="micro-batch size")
    packed = draw(st.integers(1, min(2, max(1, room // micro_batch))), label="rows per sequence")
    steps = draw(st.integers(1, 2), label="steps")
    rows = ranks * accumulation * micro_batch * packed
    longest = max(3, min(20, TOKENS // rows - OVERHEAD))
    responses = draw(st.lists(st.integers(2, longest), min_size=rows * steps, max_size=rows * steps), label="responses")
    prompts = [1 + (7 * i) % 3 for i in range(rows * steps)]
    words = text.vocabulary(MODEL.vocab_size)
    seed = draw(st.integers(0, 2**20), label="seed")
    falling = Schedule("cosine", least=0.1, horizon=6)
    rising = (
        [replace(falling, warmup_steps=1, warmup_from="zero")] if steps > 1 else []
    )  # one step alone would not move
    schedule = draw(st.sampled_from((Schedule(), Schedule(warmup_steps=4), falling, *rising)), label="schedule")
    return Scenario(
        name="drawn",
        data=Data(text.conversations(words, prompts, responses, seed), rows_per_sequence=packed),
        tokenizer=Tokenizer(words),
        model=MODEL,
        window=Window(ranks, micro_batch, accumulation, steps),
        optimizer=Optimizer(
            weight_decay=draw(st.sampled_from((0.0, 0.1)), label="weight decay"),
            max_grad_norm=draw(st.sampled_from((None, 0.3, 1.0, 5.0)), label="clip"),
            schedule=schedule,
        ),
        seed=seed,
    )
