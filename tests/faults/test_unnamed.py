"""Scenarios that are worth no name, and the faults that they show."""

from __future__ import annotations

from dataclasses import replace

import pytest

import scenarios
from adapters.contract import Message, Scenario, vary
from adapters.faults import CATALOGUE, RIGHT
from scenarios import rows
from tests.faults import kinds, proof

TURNS = vary(scenarios.get("sft-ragged-pad-eos"), steps=2)
OF_SGD = ("momentum-forgotten", "momentum-dampened", "wrong-momentum", "nesterov", "decay-decoupled")
SGD = vary(scenarios.get("sft-ragged-decay"), kind="sgd", momentum=0.9, learning_rate=0.05)
SQUARES = vary(scenarios.get("sft-ragged-decay"), learning_rate=0.01)
ADAGRAD = vary(SQUARES, kind="adagrad")
RMSPROP = vary(SQUARES, kind="rmsprop", learning_rate=1e-3)
REDUCED = vary(scenarios.get("sft-ragged-bf16"), steps=2, reduction="fp32")
FUSED = vary(scenarios.get("sft-ragged-batch2"), steps=1, implementation="linear-cross-entropy")
COMPILED = vary(scenarios.get("sft-ragged"), steps=2, compiled="aot_eager")
PLAIN = scenarios.get("sft-ragged")
MIXED = vary(PLAIN, parts=(5, 4, 7), rows=PLAIN.data.rows[:16], epochs=3, steps=4)
OF_MIXTURES = ("dataset-lost", "dataset-doubled", "datasets-in-turn")
EXTRA = rows.fit(vary(PLAIN, vocab_size=151, extra_rows=24, steps=2))
NOISY = vary(scenarios.get("sft-ragged-batch2"), steps=2, neftune_alpha=5.0)


def cut_off(*empty: int) -> Scenario:
    """Rows of which these have a prompt that leaves nothing of the response within 22 tokens."""
    rows = [
        (Message("user", " ".join((question.content.split() * 40)[: 40 if i in empty else 4])), answer)
        for i, (question, answer) in enumerate(PLAIN.data.rows)
    ]
    return vary(PLAIN, rows=tuple(rows), max_length=22)


AGAIN = rows.fit(
    vary(
        PLAIN,
        rows=PLAIN.data.rows[:6],
        accumulation=3,
        epochs=2,
        steps=2,
        decay="cosine",
        warmup_steps=1,
        warmup_from="zero",
    )
)
NOTHING = ("window-lost-to-empty", "mean-of-ranks", "mean-of-micro-batches", "drop-intermediate")
END = scenarios.get("sft-ragged-epochs").dealing.steps(1)
LORA = scenarios.get("sft-ragged-lora")
UNNAMED: dict[str, tuple[Scenario, tuple[str, ...]]] = {
    "the last answer": (vary(TURNS, trained="last-answer"), ("responses-trained", "prompt-trained", "keep-last")),
    "everything": (vary(TURNS, trained="everything"), ("responses-trained", "mean-of-ranks")),
    "no pad token": (vary(TURNS, pad_token="none"), ("padding-id-untrained",)),
    "padded on the left": (vary(TURNS, padding_side="left"), ("positions-run-on", "mean-of-rows", "mask-shifted")),
    "SGD": (SGD, (*OF_SGD, "keep-last", "no-clipping")),
    "SGD that never clips": (vary(SGD, max_grad_norm=None, weight_decay=0.0), ("momentum-dampened", "mean-of-ranks")),
    "SGD at a low rate": (vary(SGD, learning_rate=1e-3, compute="bf16"), ("momentum-forgotten",)),
    "Adagrad": (ADAGRAD, ("squares-forgotten", "keep-last", "no-clipping")),
    "Adagrad at a low rate": (vary(ADAGRAD, learning_rate=1e-4, compute="bf16"), ("squares-forgotten",)),
    "RMSprop": (RMSPROP, ("wrong-alpha", "mean-of-ranks", "no-clipping")),
    "RMSprop that never clips": (vary(RMSPROP, max_grad_norm=None, weight_decay=0.0), ("wrong-alpha", "keep-last")),
    "reduced in float32": (REDUCED, ("bf16-reduction", "keep-last")),
    "reduced in bfloat16": (vary(REDUCED, reduction="bf16"), ("fp32-reduction", "mean-of-ranks")),
    "reduced in bfloat16, one micro-batch": (
        vary(REDUCED, reduction="bf16", accumulation=1, steps=1, tied_embeddings=True),
        ("fp32-reduction",),
    ),
    "saved at the end of an epoch": (
        vary(scenarios.get("sft-ragged-epochs"), resume_after=END),
        ("resume-loses-epoch",),
    ),
    "saved at the end of an epoch, shuffled": (
        vary(scenarios.get("sft-ragged-shuffled"), resume_after=2),
        ("resume-loses-epoch", "resume-forgets-moments"),
    ),
    "experts from a checkpoint": (
        vary(scenarios.get("sft-ragged-moe"), resume_after=1),
        ("resume-loses-parameters", "resume-forgets-moments"),
    ),
    "from a checkpoint after two steps, by SGD": (
        vary(scenarios.get("sft-ragged-resume"), kind="sgd", momentum=0.9, learning_rate=0.05, resume_after=2),
        ("resume-loses-parameters",),
    ),
    "from a checkpoint, by Adagrad": (
        vary(scenarios.get("sft-ragged-resume"), kind="adagrad", learning_rate=0.01),
        ("resume-loses-parameters",),
    ),
    "low-rank updates from a checkpoint": (vary(LORA, resume_after=1), ("resume-loses-parameters",)),
    "four ranks": (
        vary(rows.for_ranks(scenarios.get("sft-ragged"), 4), steps=2),
        ("replicas-apart", "replicas-averaged-twice", "clipping-per-shard", "rank-alone", "norm-of-a-shard"),
    ),
    "on one rank of two from a checkpoint": (
        vary(scenarios.get("sft-ragged-resume"), resume_ranks=1),
        (
            "resume-counts-by-new-ranks",
            "resume-scaled-by-old-ranks",
            "resume-forgets-schedule",
            "mean-of-micro-batches",
        ),
    ),
    "nothing to train on a rank": (cut_off(9, 11, 13, 15), NOTHING),
    "nothing to train in a micro-step, nor in the first step's last row": (cut_off(7, 8, 9), NOTHING),
    "an odd row": (vary(PLAIN, rows=PLAIN.data.rows[:15], epochs=2, steps=4), ("uneven-rows-lost", "keep-last")),
    "an odd row, shuffled": (
        vary(PLAIN, rows=PLAIN.data.rows[:15], epochs=2, steps=4, order="shuffled"),
        ("uneven-rows-lost", "order-repeated"),
    ),
    "by length": (
        vary(scenarios.get("sft-ragged-shuffled"), order="by-length"),
        ("order-not-grouped", "order-given", "mean-of-ranks"),
    ),
    "a few packed sequences, shuffled": (
        rows.fit(vary(PLAIN, steps=1, micro_batch_size=2, accumulation=2, packed_length=64, order="shuffled")),
        ("mean-of-ranks",),
    ),
    "cut off": (vary(TURNS, max_length=17), ("eos-untrained", "mean-of-micro-batches")),
    "from the head's input": (FUSED, ("chunks-averaged", "ignored-positions-counted", "mean-of-ranks")),
    "rows beyond the vocabulary, a prime number": (
        EXTRA,
        ("extra-rows-out-of-softmax", "extra-rows-untrained", "last-shard-cut", "mean-of-ranks"),
    ),
    "rows beyond the vocabulary, tied, in bfloat16": (
        vary(EXTRA, tied_embeddings=True, compute="bf16"),
        ("extra-rows-out-of-softmax", "extra-rows-untrained"),
    ),
    "micro-batches by tokens": (
        vary(PLAIN, micro_batch_tokens=70),
        ("micro-batch-overfilled", "mean-of-micro-batches", "keep-last", "row-repeated", "mean-of-rows"),
    ),
    "three datasets in turn": (
        vary(MIXED, mixing="in-turn-once", epochs=2, steps=3),
        ("datasets-concatenated", "mean-of-ranks"),
    ),
    "three datasets in turn, until the first ends": (
        vary(MIXED, mixing="in-turn-until-first", epochs=2, steps=3),
        ("datasets-concatenated", "keep-last"),
    ),
    "three datasets in turn, until the last ends": (
        vary(MIXED, mixing="in-turn-until-last", epochs=1, steps=2),
        ("datasets-concatenated",),
    ),
    "three datasets": (MIXED, (*OF_MIXTURES, "mean-of-ranks")),
    "three datasets, shuffled": (vary(MIXED, order="shuffled", steps=6), OF_MIXTURES),
    "noise of the embedding": (
        NOISY,
        ("noise-missing", "noise-of-the-batch", "noise-undivided", "noise-repeated", "keep-last", "mean-of-ranks"),
    ),
    "the same gradient again": (AGAIN, ("wrong-beta1", "wrong-beta2", "keep-last", "no-clipping", "mean-of-ranks")),
    "the same gradient again, by SGD": (
        vary(AGAIN, kind="sgd", momentum=0.9, learning_rate=0.05, weight_decay=0.1),
        ("nesterov", "keep-last", "no-clipping", "decay-decoupled"),
    ),
    "one step of SGD": (vary(SGD, steps=1), ("decay-decoupled", "keep-last")),
    "compiled": (COMPILED, ("graph-of-first-shape", "gradient-lost-at-recompile")),
}


LONG = {"compiled"}
"""Compiling takes most of a minute; what is lost of a gradient so is named without it (`test_shapes.py`)."""


def _marked(name: str, *more: str) -> object:
    marks = [pytest.mark.slow, *([pytest.mark.exhaustive] if name in LONG else [])]
    return pytest.param(name, *more, marks=marks)


@pytest.mark.parametrize("name", list(map(_marked, UNNAMED)))
def test_a_clean_run_is_clean(name, cache):
    proof.assert_clean(proof.judged(UNNAMED[name][0], RIGHT, cache))


@pytest.mark.parametrize(("name", "fault"), [_marked(name, fault) for name in UNNAMED for fault in UNNAMED[name][1]])
def test_a_planted_fault_is_named(name, fault, cache):
    scenario, planted = UNNAMED[name][0], CATALOGUE[fault]
    assert planted.hidden(scenario) is None
    judgement = proof.judged(scenario, planted.plan, cache)
    proof.assert_named(judgement, planted)
    known = kinds.of(fault, scenario)
    assert not known or {d.kind for d in judgement.diagnoses} <= known, proof.told(judgement)


UNSEEN: dict[str, tuple[Scenario, tuple[str, ...]]] = {
    "from a checkpoint behind a step without a rate": (
        vary(scenarios.get("sft-ragged-warmup"), warmup_from="zero", resume_after=1),
        ("resume-loses-parameters",),
    ),
    "low-rank updates of scale 1": (
        vary(
            LORA,
            lora=replace(LORA.model.lora, alpha=float(LORA.model.lora.rank)),
            tied_embeddings=True,
            weight_decay=0.1,
            steps=2,
        ),
        ("lora-scaled-twice", "tied-head-lost", "tied-input-lost", "decay-on-norms"),
    ),
    "betas of 0.95": (vary(PLAIN, beta1=0.95, beta2=0.95, steps=2), ("wrong-beta1", "wrong-beta2")),
}
"""And where faults change nothing, so that nothing may be found."""


@pytest.mark.parametrize(("name", "fault"), [(name, fault) for name, (_, faults) in UNSEEN.items() for fault in faults])
def test_a_planted_fault_that_changes_nothing_is_not_found(name, fault, cache):
    scenario, planted = UNSEEN[name][0], CATALOGUE[fault]
    assert planted.hidden(scenario) is not None
    proof.assert_hidden(proof.judged(scenario, planted.plan, cache), planted)
