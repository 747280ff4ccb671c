"""The kind that the diagnosis must give to every planted fault, the same wherever it is planted."""

from __future__ import annotations

from adapters import planned, unseen
from adapters.contract import Scenario
from adapters.faults import CATALOGUE
from tests.faults import expected

KINDS = {
    "drop-intermediate": "dropped-micro-batches: 1, 2 of 4",
    "keep-first": "dropped-micro-batches: 1, 2, 3 of 4",
    "keep-last": "dropped-micro-batches: 0, 1, 2 of 4",
    "mean-of-micro-batches": "mean-of-means: micro-batch",
    "mean-of-ranks": "mean-of-means: rank",
    "mean-of-micro-steps": "mean-of-means: micro-step",
    "mean-of-rows": "mean-of-means: row",
    "scaled-by-accumulation": "gradient-scale: GA",
    "divided-by-accumulation": "gradient-scale: 1/GA",
    "scaled-by-world-size": "gradient-scale: world size",
    "prompt-trained": "loss-mask: everything",
    "eos-untrained": "loss-mask: no-eos",
    "first-token-untrained": "loss-mask: no-first",
    "mask-shifted": "loss-mask: shifted",
    "mask-late": "loss-mask: late",
    "tag-trained": "loss-mask: with-tag",
    "padding-id-untrained": "loss-mask: padding's id",
    "last-answer-only": "loss-mask: last-answer",
    "responses-trained": "loss-mask: responses",
    "bos-twice": "tokenization: a BOS too many",
    "bos-missing": "tokenization: no BOS",
    "system-missing": "tokenization: no default system message",
    "padding-row-frozen": "padding-embedding",
    "no-clipping": "clipping: none",
    "clipping-per-rank": "clipping: per-rank",
    "clipping-before-averaging": "clipping: before-averaging",
    "clipping-per-shard": "clipping: per shard",
    "replicas-apart": "replicas-apart",
    "replicas-averaged-twice": "gradient-scale: 1/half the world size",
    "norm-of-a-shard": "misreported: grad-norm of a shard",
    "optimizer-of-copies": "nothing-trained",
    "labels-unshifted": "labels-unshifted: that token again",
    "decay-on-norms": "weight-decay: more on norms",
    "decay-not-on-norms": "weight-decay: less on norms",
    "decay-on-the-wrong-group": "weight-decay: other groups",
    "groups-collapsed": "learning-rate-schedule: groups collapsed",
    "learning-rate-late": "learning-rate-schedule: late",
    "learning-rate-early": "learning-rate-schedule: early",
    "learning-rate-misreported": "misreported: learning-rate of the next step",
    "learning-rate-zero-first": "learning-rate-schedule: zero-first",
    "schedule-per-micro-step": "learning-rate-schedule: per micro-step",
    "schedule-per-rank": "learning-rate-schedule: per rank",
    "horizon-in-micro-batches": "learning-rate-schedule: horizon",
    "least-rate-ignored": "learning-rate-schedule: least",
    "no-warm-up": "learning-rate-schedule: no warm-up",
    "warm-up-from-first": "learning-rate-schedule: warm-up",
    "engine-schedule": "learning-rate-schedule: engine",
    "wrong-beta1": "optimizer-moments: beta1",
    "wrong-beta2": "optimizer-moments: beta2",
    "wrong-eps": "optimizer-moments: eps",
    "step-count-ahead": "bias-correction",
    "momentum-forgotten": "optimizer-moments: forgotten",
    "momentum-dampened": "optimizer-moments: dampened",
    "wrong-momentum": "optimizer-moments: momentum",
    "nesterov": "optimizer-moments: nesterov",
    "squares-forgotten": "optimizer-moments: squares forgotten",
    "wrong-alpha": "optimizer-moments: alpha",
    "decay-decoupled": "weight-decay: decoupled",
    "rank-alone": "rank-desync",
    "loss-scale-not-undone": "gradient-scale: loss scale",
    "clipping-before-unscaling": "clipping: before-unscaling",
    "overflow-ignored": "loss-scaling: updated",
    "overflow-skipped-alone": "rank-desync: skipped alone",
    "row-repeated": "batch-composition: other rows",
    "partial-window-divided-by-full": "gradient-scale: micro-batches of a partial window / GA",
    "partial-window-carried": "epoch-end: gradient carried over",
    "windows-misaligned": "epoch-end: misaligned",
    "last-rows-lost": "epoch-end: rows lost",
    "rows-doubled": "epoch-end: rows doubled",
    "uneven-rows-lost": "epoch-end: uneven rows lost",
    "order-given": "epoch-order: given",
    "order-not-grouped": "epoch-order: ungrouped",
    "order-repeated": "epoch-order: repeated",
    "resume-repeats-rows": "resume: rows repeated",
    "resume-skips-rows": "resume: rows skipped",
    "resume-forgets-schedule": "resume: schedule",
    "resume-forgets-moments": "resume: optimizer",
    "resume-forgets-masters": "resume: masters",
    "resume-loses-parameters": "resume: parameters",
    "resume-loses-epoch": "resume: epoch lost",
    "window-lost-to-empty": "dropped-micro-batches: whole window, of an empty one",
    "dataset-lost": "mixture: a dataset lost",
    "dataset-doubled": "mixture: a dataset twice",
    "datasets-in-turn": "mixture: in turn",
    "packed-row-lost": "packing: rows lost",
    "packed-row-doubled": "packing: rows doubled",
    "datasets-concatenated": "mixture: one behind the other",
    "micro-batch-overfilled": "packing: more tokens",
    "packed-too-long": "packing: longer than the room",
    "packed-border-trained": "loss-mask: into-next",
    "resume-counts-by-new-ranks": "resume: rows by the new ranks",
    "resume-scaled-by-old-ranks": "gradient-scale: ranks before the checkpoint / ranks that go on",
    "attention-leaks": "attention-leak",
    "positions-run-on": "positions",
    "bf16-accumulation": "coarse-dtype",
    "bf16-reduction": "coarse-dtype: reduction",
    "fp32-reduction": "coarse-dtype: reduction in float32",
    "masters-lost": "coarse-dtype: masters",
    "gradient-not-zeroed": "stale-gradient",
    "decay-in-gradient": "coupled-decay",
    "tied-head-lost": "tied-gradient: head",
    "tied-input-lost": "tied-gradient: input",
    "softcap-left-out": "soft-cap: scores",
    "label-smoothing": "unexplained-gradient",
    "noise-missing": "noise: missing",
    "noise-of-the-batch": "noise: of the whole micro-batch",
    "noise-undivided": "noise: undivided",
    "noise-repeated": "noise: repeated",
    "noise-unasked": "noise: unasked",
    "smoothing-missing": "label-smoothing: none",
    "smoothing-applied-twice": "label-smoothing: twice",
    "smoothing-over-all-tokens": "label-smoothing: over all tokens",
    "smoothing-of-micro-batches": "label-smoothing: over each micro-batch",
    "probability-left-out": "token-weight: one",
    "lora-scaled-twice": "lora-scale: the scale twice",
    "rslora-ignored": "lora-scale: alpha / rank",
    "lora-left-merged": "frozen-moved: merged",
    "frozen-trained": "frozen-moved: trained",
    "lora-half-trained": "untrained-part: one factor of low-rank updates",
    "gradient-cut-by-checkpointing": "untrained-part: lower layers",
    "extra-rows-out-of-softmax": "vocabulary-rows: out of the softmax",
    "extra-rows-untrained": "vocabulary-rows: extra ones untrained",
    "last-shard-cut": "vocabulary-rows: last ones untrained",
    "device-copy-stale": "stale-parameters: the step before",
    "chunks-averaged": "loss-in-pieces: chunks",
    "ignored-positions-counted": "loss-in-pieces: ignored positions counted",
    "graph-of-first-shape": "first-shape",
    "gradient-lost-at-recompile": "dropped-micro-batches: at a recompile",
    "decayed-before-training": "decayed-before-training",
    "head-initialised-anew": "initial-weights: anew",
    "loaded-in-bf16": "initial-weights: rounded",
    "auxiliary-scaled-by-accumulation": "auxiliary-loss: GA",
    "auxiliary-scaled-by-world-size": "auxiliary-loss: world size",
    "auxiliary-missing": "auxiliary-loss: missing",
    "raw-rewards": "objective: raw-rewards",
    "baseline-of-another-group": "objective: other-group",
    "baseline-of-all-rewards": "objective: batch-baseline",
    "advantages-scaled-otherwise": "objective: other-scale",
    "ratio-unclipped": "objective: unclipped",
    "ratio-clipped-on-the-wrong-side": "objective: clip-the-other-side",
    "ratio-of-one": "objective: ratio-of-one",
    "ratio-of-the-other-kind": "objective: other-ratio",
    "divergence-twice": "objective: divergence-twice",
    "divergence-left-out": "objective: divergence-left-out",
    "divergence-subtracted": "objective: divergence-subtracted",
    "reference-drifts": "objective: reference-drifts",
    "truncated-counted": "gradient-scale: tokens of masked completions are counted",
    "pairs-swapped": "objective: pairs-swapped",
    "log-ratios-averaged": "objective: mean-log-ratios",
    "sigmoid-for-square": "objective: sigmoid-for-square",
    "reference-left-out": "objective: reference-left-out",
    "preferences-unsmoothed": "objective: preferences-unsmoothed",
    "demonstrations-as-samples": "objective: demonstrations-as-samples",
    "sft-left-out": "objective: sft-left-out",
}


APART = {"mean-of-rows": "sft-ragged-batch2", "mask-late": "sft-ragged-batch2"}
"""Faults that are like another one on most scenarios, and where they are like no other."""


def of(fault: str, scenario: Scenario) -> set[str]:
    """The kinds that it may be called by on this scenario: more than one where several faults weigh every token alike,
    as two means do with one row a micro-batch; none where it drops other micro-batches than its kind names."""
    own = CATALOGUE[fault]
    by_tokens = scenario.window.micro_batch_tokens is not None
    if own.cause == "dropped-micro-batches" and (by_tokens or scenario.window.accumulation != 4):
        return set()
    if own.cause == "learning-rate-schedule" and not own.plan.one_rate:
        own_rates = planned.rates(scenario, own.plan)
        alike = (n for n, other in CATALOGUE.items() if other.cause == own.cause)
        return {KINDS[n] for n in alike if planned.rates(scenario, CATALOGUE[n].plan) == own_rates}
    if fault in ("reference-drifts", "divergence-left-out") and scenario.objective.rollout_steps == 1:
        return {KINDS["reference-drifts"], KINDS["divergence-left-out"]}  # of the model itself, no divergence pulls
    if fault == "ratio-clipped-on-the-wrong-side" and scenario.name == "grpo-divergence":
        return {KINDS[fault], KINDS["ratio-unclipped"]}  # no ratio is beyond the other border
    if fault == "bf16-reduction" and scenario.precision.reduction == "own":  # any rounding is one then
        return {KINDS["bf16-accumulation"]}
    if fault in ("mask-shifted", "eos-untrained") and unseen.of_pairs(scenario):
        return {KINDS["mask-shifted"], KINDS["eos-untrained"]}  # the tag before a response is that of both rows
    if own.cause not in ("mean-of-means", "loss-mask"):
        return {KINDS[fault]}
    others = (name for name, other in CATALOGUE.items() if other.cause == own.cause)
    return {KINDS[n] for n in others if expected.same_weights(scenario, own.plan, CATALOGUE[n].plan)}
