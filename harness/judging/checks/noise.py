"""Whether what was added to the embedding (NEFTune) is what was asked for: there, no other size, drawn anew each time.

The noise is uniform within b = alpha / sqrt(L d), in which L is the length of a sequence (arXiv 2310.05914, algorithm
1). That of its tokens is taken, and that with its padding, as transformers counts (integrations/neftune.py). Of n
numbers that are uniform within b, the largest is within ln(1/p) / n of b but for a share p.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from harness.judging.evidence import Received
from harness.traces.added import Noise
from harness.verdicts.findings import Finding

CODE = "inputs.noise"

NEVER = 1e-12
"""How often noise that is right may be found wrong, in each thing that is asked of it."""
DEVIATIONS = 7.2
"""Of a mean of many numbers: beyond so many of its deviations it is as seldom."""

Length = Callable[[Noise], float]

RIGHT: Mapping[str, Length] = {"length": lambda n: n.length, "tokens": lambda n: n.tokens}
WRONG: Mapping[str, Length] = {
    "batch": lambda n: n.sequences * n.length,
    "width": lambda _: 1.0,
    "undivided": lambda n: 1.0 / n.values.shape[1],
}
"""What is counted as L instead: all tokens of a micro-batch; none, so that b is alpha / sqrt(d); or b is alpha."""


def noise(evidence: Received) -> list[Finding]:
    """`inputs.noise`: it is of another size than asked for, of a mean that is not 0, missing in a micro-batch, the same
    in two of a rank, or there though none is asked for."""
    if evidence.scenario is None:
        return []
    alpha, every = evidence.scenario.model.neftune_alpha, _by_place(evidence)
    if not every:
        return []
    if not alpha:
        return _unasked(evidence, every)
    if silent := [place for place, all_of in every.items() if not any(bool(n.values.any()) for n in all_of)]:
        return [_missing(evidence, silent, len(every))]
    return [*_sized(evidence, every, alpha), *_repeated(evidence, every)]


Place = tuple[int, int]
"""Rank and micro-batch."""


def _by_place(evidence: Received) -> dict[Place, list[Noise]]:
    result: dict[Place, list[Noise]] = {}
    for c in evidence.conversations:
        if c.noise is not None:
            result.setdefault(c.place, []).append(c.noise)
    return result


def _finding(
    evidence: Received, what: str, message: str, place: Place, observed: float | None = None, expected: float = 0.0
) -> Finding:
    rank, micro_batch = place
    return Finding(
        CODE,
        message,
        step=evidence.step,
        rank=rank,
        micro_batch=micro_batch,
        observed=observed,
        expected=None if observed is None else expected,
        detail={"what": what},
    )


def _unasked(evidence: Received, every: Mapping[Place, Sequence[Noise]]) -> list[Finding]:
    largest, place = max((float(n.values.abs().max()), at) for at, all_of in every.items() for n in all_of)
    if not largest:
        return []
    message = (
        f"up to {largest:.3g} is added to what the embedding gives at step {evidence.step} (rank {place[0]},"
        f" micro-batch {place[1]}), and no noise is asked for"
    )
    return [_finding(evidence, "unasked", message, place, observed=largest, expected=0.0)]


def _missing(evidence: Received, silent: Sequence[Place], count: int) -> Finding:
    rank, micro_batch = silent[0]
    message = (
        f"nothing is added to what the embedding gives in {len(silent)} of {count} micro-batches of step"
        f" {evidence.step} (rank {rank}, micro-batch {micro_batch} first), and noise is asked for"
    )
    return _finding(evidence, "missing", message, silent[0])


def _sized(evidence: Received, every: Mapping[Place, Sequence[Noise]], alpha: float) -> Iterator[Finding]:
    """One for the first micro-batch that is wrong."""
    for place, all_of in every.items():
        wrong = {name: _off(all_of, alpha, length) for name, length in RIGHT.items()}
        if None in wrong.values():
            continue
        what = next((name for name, length in WRONG.items() if _off(all_of, alpha, length) is None), "otherwise")
        if "mean" in wrong.values():
            what = "mean"
        flat = _flat(all_of, alpha, RIGHT["length"])
        message = (
            f"what is added to the embedding in step {evidence.step} (rank {place[0]}, micro-batch {place[1]}) is up to"
            f" {float(flat.abs().max()):.4g} times alpha / sqrt(L d) and {float(flat.mean()):.2g} times that on"
            " average, expected 1 and 0"
        )
        yield _finding(evidence, what, message, place, observed=float(flat.abs().max()), expected=1.0)
        return


def _flat(all_of: Sequence[Noise], alpha: float, length: Length) -> Tensor:
    """All numbers over what they should be within: float64 [numbers]."""
    return torch.cat([n.values.flatten() * math.sqrt(length(n) * n.values.shape[1]) / alpha for n in all_of])


def _off(all_of: Sequence[Noise], alpha: float, length: Length) -> str | None:
    """What is wrong with them, if they should be uniform within 1: their size or their mean."""
    found = _flat(all_of, alpha, length)
    unit = max(n.unit * math.sqrt(length(n) * n.values.shape[1]) / alpha for n in all_of)
    largest, count = float(found.abs().max()), len(found)
    rounding = 2.0 * unit + torch.finfo(torch.float32).eps
    if not 1.0 + math.log(NEVER) / count - rounding <= largest <= 1.0 + rounding:
        return "size"
    # The variance of a number is 1/3, that of its square 4/45.
    square = float(found.square().mean()) - 1.0 / 3.0
    if abs(square) > DEVIATIONS * math.sqrt(4.0 / 45.0 / count) + rounding:
        return "size"
    return "mean" if abs(float(found.mean())) > DEVIATIONS * math.sqrt(1.0 / 3.0 / count) + rounding else None


def _repeated(evidence: Received, every: Mapping[Place, Sequence[Noise]]) -> Iterator[Finding]:
    """One for the first two micro-batches of a rank whose noise is the same, but for their lengths."""
    for (one, first), (other, second) in itertools.combinations(every.items(), 2):
        if one[0] == other[0] and _alike(first[0], second[0]):
            message = (
                f"the noise in micro-batches {one[1]} and {other[1]} of rank {one[0]} is the same at step"
                f" {evidence.step}, but for the length that it is divided by: it is not drawn anew"
            )
            yield _finding(evidence, "repeated", message, one)
            return


def _alike(one: Noise, other: Noise) -> bool:
    """By the cosine between what both have, which of numbers that are drawn apart is about 1 / sqrt(count)."""
    count = min(len(one.values), len(other.values))
    a, b = one.values[:count].flatten(), other.values[:count].flatten()
    size = float(a.norm() * b.norm())
    return size > 0 and float(a @ b) / size > 0.9
