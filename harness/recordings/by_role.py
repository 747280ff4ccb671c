"""Which tokens of a text are trained, by what they are in it: the sums of many are known where none is by itself.

In a coarse dtype a token's weight is hidden by the roundings of those that are like it, as the ends of all rows are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from harness.judging.checks.weights import MASKS
from harness.oracle import levels
from harness.recordings import head_basis, roles
from harness.recordings.roles import FIRST, TAG, Places
from harness.recordings.weighing import WeighedStep
from harness.verdicts.findings import Finding
from lockstep_recorder.batch import EOS, TRAINED

KNOWN = 0.1
"""Share of the others' weight up to which a weight may be off, to be asked."""
OFF = 0.5
"""Share of the others' weight by which a token is trained that should not be, or is not."""
NAMES: Mapping[frozenset[str], str] = {
    frozenset({"end", "tag"}): "shifted",
    frozenset({"end"}): "no-eos",
    frozenset({"first"}): "no-first",
    frozenset({"tag"}): "with-tag",
}
"""Masks, by what is otherwise in them."""
WORDS = {"end": "the ends of texts", "tag": "the tokens before a text's first", "first": "the first tokens of texts"}


def mask(step: WeighedStep) -> list[Finding]:
    """Where the labels told which tokens are to be trained, and no other mask was seen token by token."""
    if not step.labels or step.fit.hypothesis.mask != levels.INTENDED:
        return []
    shares = _shares(step)
    otherwise = frozenset(
        name for name, found in shares.items() if found and all(abs(s - (name != "tag")) > OFF for s in found)
    )
    if otherwise not in NAMES:
        return []
    name = NAMES[otherwise]
    weigh = ", ".join(f"{WORDS[each]} {sum(shares[each]) / len(shares[each]):.2g}" for each in sorted(otherwise))
    message = f"{MASKS[name]} at step {step.number} (of the others' weight, {weigh} in each micro-batch)"
    return [Finding("weights.mask", message, step.number, detail={"mask": name})]


def _shares(step: WeighedStep) -> dict[str, list[float]]:
    """By what tokens are: their weight as a share of the other trained tokens, of each micro-batch that tells."""
    tokens = step.tokens
    places = Places(tokens.rank, tokens.micro_batch, tokens.text, tokens.kind)
    role = roles.of(places)
    kinds = {
        "plain": _has(role, TRAINED) & ~_has(role, EOS | FIRST),
        "end": _has(role, TRAINED) & _has(role, EOS) & ~_has(role, FIRST),
        "first": _has(role, FIRST) & ~_has(role, EOS),
        "tag": _has(role, TAG),
        "only": _has(role, FIRST) & _has(role, EOS),
    }
    which = sum(number * chosen.long() for number, chosen in enumerate(kinds.values(), 1))
    micro_batch = tokens.rank * (int(tokens.micro_batch.max()) + 1) + tokens.micro_batch
    weights, uncertain = _together(step, micro_batch * (len(kinds) + 1) + which)
    found: dict[str, list[float]] = {name: [] for name in WORDS}
    for number in sorted(set(micro_batch.tolist())):
        at = {name: (chosen & (micro_batch == number)).nonzero() for name, chosen in kinds.items()}
        told = {name: (float(weights[i[0]]), float(uncertain[i[0]])) for name, i in at.items() if len(i)}
        plain, off = told.pop("plain", (0.0, 0.0))
        if plain > 0 and off < KNOWN * plain:
            for name in told.keys() & WORDS.keys():
                weight, error = told[name]
                found[name] += [weight / plain] if error < KNOWN * plain else []
    return found


def _has(role: Tensor, bits: int) -> Tensor:
    return (role & bits) != 0


def _together(step: WeighedStep, group: Tensor) -> tuple[Tensor, Tensor]:
    """Where the tokens of a group weigh alike: that weight, and how far it may be off, float64 [T] each."""
    solved = step.solved
    local = solved.basis.local
    column: Tensor = torch.unique(group, return_inverse=True)[1]
    consumed = local.layers[0].explained((solved.weights / solved.basis.counts)[local.column]) + solved.left
    basis = head_basis.build(local.layers[0], torch.zeros(len(column)), column)
    weights, left = basis.solve(consumed)
    both = (weights / basis.counts, basis.uncertainty(left) / basis.counts)
    return both[0][column], both[1][column]
