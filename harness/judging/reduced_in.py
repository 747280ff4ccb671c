"""What gradients were reduced over the ranks in, told from the numbers of a first step's gradient, by no tolerance.

What was rounded to bfloat16 is made of numbers of bfloat16; a sum in float32 is one of them by chance alone. Frameworks
reduce once a step, or once a micro-batch and add up in float32: such sums are no numbers of bfloat16 any more, but for
what comes from one micro-batch alone. That are the rows of an embedding whose token no other micro-batch has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from harness.intent.intent import Rule
from harness.judging.recorded_step import RecordedStep
from harness.oracle import architectures
from harness.oracle.clipping import clip_coefficient
from harness.oracle.observe import gradient
from harness.oracle.step import RightStep
from harness.traces.batch import Conversation

NEAR = 0.02
"""Of half a unit of bfloat16: how far an element may be from a number of it. Of any elements, so many are so."""
MOST = 0.9
"""Share of elements that are so near where all were rounded. A sum in float32 of two numbers of bfloat16, which is what
a micro-batch leaves on two ranks, is so near in half of its elements."""
FEW = 64
"""Elements below which a share tells nothing: by chance it is above `MOST` in one of 1e11 cases of so many."""


class Told(NamedTuple):
    """What was told of a step."""

    dtype: Literal["fp32", "bf16"] | None
    """None where nothing tells."""
    share: float
    """Of elements that are numbers of bfloat16, which says so."""


def asked(right: RightStep, step: RecordedStep) -> bool:
    """Whether there is a question: ranks that reduce, in a dtype that is asked for, in a first step, whose moments are
    of one gradient."""
    intent = right.intent
    return intent.reduction != "own" and intent.ranks > 1 and not bool(step.moments.first_before.any())


def told(step: RecordedStep, right: RightStep, used: Rule) -> Told:
    """Of a step of which there is a question."""
    norm, limit = step.reported.grad_norm, right.intent.max_grad_norm
    alone = len({c.rank for c in right.conversations if c.targets}) < 2  # what one rank has is rounded as it made it
    if alone or (limit is not None and norm is None):
        return Told(None, 0.0)
    consumed = gradient(step.moments, used.kept) / (1.0 if norm is None else clip_coefficient(norm, limit))
    share, _ = _rounded(consumed)
    if share >= MOST:
        return Told("bf16", share)
    if torch.as_tensor(step.moments.decay).any():  # SGD's, which is taken off what was rounded with it
        return Told(None, share)
    if right.micro_batches > 1:
        share, count = _rounded(_of_one(consumed, step, right))
        if count < FEW:
            return Told(None, share)
    return Told("bf16" if share >= MOST else "fp32", share)


def _of_one(consumed: Tensor, step: RecordedStep, right: RightStep) -> Tensor:
    """Elements of `consumed`, float64 [parameters], that come from one micro-batch alone, but from several ranks."""
    name = architectures.embedding(right.model.architecture)
    if name not in step.states or right.model.tied_embeddings:
        return consumed[:0]
    sizes = {tensor: state.after.numel() for tensor, state in sorted(step.states.items())}
    own = dict(zip(sizes, torch.split(consumed, list(sizes.values())), strict=True))[name]
    return own.view(right.model.vocab_size, -1)[sorted(_once(right.conversations))].flatten()


def _once(conversations: Sequence[Conversation]) -> list[int]:
    """Tokens that one micro-batch alone has, and several ranks in it, where something that is trained comes behind."""
    places: dict[int, set[tuple[int, int]]] = {}
    for c in conversations:
        last = max((t for t, trained in enumerate(c.trained) if trained), default=0)
        for token in c.ids[:last]:  # those behind have no gradient
            places.setdefault(token, set()).add((c.micro_batch, c.rank))
    return [token for token, at in places.items() if len({m for m, _ in at}) == 1 and len(at) > 1]


def _rounded(values: Tensor) -> tuple[float, int]:
    """Share of the elements of a float64 [n] that are next to a number of bfloat16, of those that are not 0, and how
    many these are."""
    some = values[values != 0]
    if not len(some):
        return 0.0, 0
    off = (some - some.to(torch.bfloat16).double()).abs()
    half = torch.exp2(torch.floor(torch.log2(some.abs())) - 8)
    return float((off <= NEAR * half).double().mean()), len(some)
