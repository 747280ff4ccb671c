"""Faults of the model itself: what it begins with, computes with, and is compiled to. Standard library only."""

from __future__ import annotations

from adapters import unseen, unseen_rules
from adapters.fault import Fault, both
from adapters.plan import Plan

_INITIAL = ("state.initial",)
_NOISE = ("inputs.noise",)

FAULTS = (
    Fault("decayed-before-training", "every parameter that decays does so once before the training begins, as by an"
          " optimizer step with a zero gradient", Plan(loaded="decayed"), _INITIAL, "decayed-before-training",
          unseen_rules.decays_visibly),
    Fault("head-initialised-anew", "the head begins with values of its own instead of the checkpoint's",
          Plan(loaded="head-anew"), _INITIAL, "initial-weights"),
    Fault("loaded-in-bf16", "the checkpoint's parameters are rounded to bfloat16 as they are loaded",
          Plan(loaded="rounded"), _INITIAL, "initial-weights", unseen.loaded_exactly),
    Fault("extra-rows-out-of-softmax", "the softmax leaves out the logits of rows beyond the tokenizer's vocabulary",
          Plan(softmax="tokenizer"), ("weights.residual",), "vocabulary-rows",
          both(unseen.extra_rows, unseen.taken_from_logits)),
    Fault("extra-rows-untrained", "the head's rows beyond the tokenizer's vocabulary have no gradient",
          Plan(head_rows="tokenizer"), ("weights.residual",), "vocabulary-rows",
          both(unseen.extra_rows, unseen.trains_head)),
    Fault("last-shard-cut", "the last rows of the head and the embedding, which the ranks cannot share evenly, have no"
          " gradient", Plan(head_rows="even"), ("weights.residual",), "vocabulary-rows", unseen.odd_rows),
    Fault("device-copy-stale", "forward and backward passes have the parameters of the step before, as from a copy on"
          " the device that an offloaded update does not reach in time",
          Plan(device_copy="stale"), ("weights.residual",), "stale-parameters", unseen.moves),
    Fault("noise-missing", "no noise is added to the embedding's output, though it is asked for",
          Plan(noise="none"), _NOISE, "noise", unseen.adds_noise),
    Fault("noise-of-the-batch", "noise is divided by the root of all tokens of a micro-batch, not of a sequence",
          Plan(noise="batch"), _NOISE, "noise", both(unseen.adds_noise, unseen.several_rows)),
    Fault("noise-undivided", "noise is within alpha, and not divided by anything",
          Plan(noise="undivided"), _NOISE, "noise", unseen.adds_noise),
    Fault("noise-repeated", "every micro-batch of a rank has the same noise",
          Plan(noise="repeated"), _NOISE, "noise", both(unseen.adds_noise, unseen.accumulates)),
    Fault("noise-unasked", "noise is added to the embedding's output, though none is asked for",
          Plan(noise="unasked"), _NOISE, "noise", unseen.adds_none),
    Fault("graph-of-first-shape", "a graph that was compiled for the length of the first micro-batch leaves out what"
          " lies behind it in others", Plan(graph="first-shape"), ("weights.mask",), "first-shape",
          both(unseen.compiles, unseen.longer)),
    Fault("gradient-lost-at-recompile", "the first micro-batch of another length, at which the model is compiled again,"
          " leaves no gradient", Plan(graph="lost-at-recompile"), ("weights.dropped-micro-batches",),
          "dropped-micro-batches",
          both(unseen.compiles, unseen.longer)),
)  # fmt: skip
