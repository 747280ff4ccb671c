"""What is said of how well each token's weight is known is true, and what cannot be told is not told.

Steps of a head alone, computed in a coarse dtype as a framework would, of tokens that the model is sure of, of rare
ones, of repeated ones and of padding; weighed as the judge does it.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import scenarios
from adapters.contract import Model, Scenario, vary
from harness.intent.of_scenario import of_scenario
from harness.oracle import floor, recorded_basis
from harness.oracle.floor import State
from harness.oracle.step import RightStep, as_computed
from harness.traces.batch import Conversation, with_padding
from scenarios import text, weights

MODEL = Model(hidden_size=32, layers=1, heads=2, kv_heads=1, intermediate_size=16, vocab_size=96)
HEAD = "lm_head.weight"
CONVERSATIONS, LENGTH, PROMPT = 6, 11, 3
STEPS = 200


@dataclass(frozen=True)
class Step:
    right: RightStep
    found: Tensor
    """float64 [columns]: recovered."""
    uncertainty: Tensor
    """float64 [columns]."""
    told: Tensor
    lengths: Tensor
    """float64 [columns]: of each token's gradient."""

    @property
    def wrong(self) -> Tensor:
        """How far each recovered weight is from the true one."""
        return (self.found - self.right.weights).abs()


def scenario(dtype: torch.dtype) -> Scenario:
    base = scenarios.get("sft-ragged")
    words = text.vocabulary(MODEL.vocab_size)
    precision = "bf16" if dtype == torch.bfloat16 else "fp32"
    rows = text.conversations(words, [3] * 24, [5] * 24, 0)
    return vary(base, model=MODEL, vocabulary=words, rows=rows, compute=precision, max_grad_norm=None)


def conversations(generator: torch.Generator) -> list[Conversation]:
    """Words of which few are frequent and many are rare; the last two begin alike; padding behind some of them."""
    often = 1.0 / torch.arange(1, MODEL.vocab_size + 1)
    every = [
        torch.multinomial(often, LENGTH, replacement=True, generator=generator).tolist() for _ in range(CONVERSATIONS)
    ]
    every[-1][: LENGTH // 2] = every[-2][: LENGTH // 2]
    trained = (False,) * PROMPT + (True,) * (LENGTH - PROMPT)
    made = [
        Conversation(i % 2, i // 2, 0, None, tuple(ids), trained, trained, None, None, (0,) * LENGTH, padded=i % 3 == 0)
        for i, ids in enumerate(every)
    ]
    return [with_padding(c, 0) for c in made]


def states(generator: torch.Generator, head: Tensor, targets: Tensor) -> Tensor:
    """Of some tokens the model is sure, from a little to so much that float32 knows of no doubt."""
    sure = torch.rand(len(targets), generator=generator) < 0.4
    pull = 4.0 * torch.rand(len(targets), generator=generator)[:, None]
    drawn = torch.randn(len(targets), MODEL.hidden_size, generator=generator)
    towards = head[targets] / head[targets].square().sum(1, keepdim=True)
    return torch.where(sure[:, None], drawn * 0.3 + 10.0 * pull * towards, drawn)


def gradient(fed: Tensor, head: Tensor, targets: Tensor, shares: Tensor, dtype: torch.dtype) -> Tensor:
    """Of the head, float32 [vocabulary, hidden]: micro-batch by micro-batch, in that dtype."""
    result = torch.zeros_like(head)
    for part in torch.split(torch.arange(len(targets)), LENGTH):
        leaf = head.to(dtype, copy=True).requires_grad_()
        scores = (fed[part].to(dtype) @ leaf.T).float()
        losses = torch.nn.functional.cross_entropy(scores, targets[part], reduction="none")
        result += torch.autograd.grad(losses @ shares[part], leaf)[0].float()
    return result


def made(seed: int, dtype: torch.dtype) -> Step:
    generator = torch.Generator().manual_seed(seed)
    task, batch = scenario(dtype), conversations(generator)
    parameters = {n: torch.from_numpy(a) for n, a in weights.initial(MODEL, seed).items()}
    head = as_computed(parameters, task.precision.compute)[HEAD]
    targets = torch.tensor([i for c in batch for i in c.ids[1:]])
    fed = states(generator, head, targets).to(dtype)
    shown = torch.tensor([m for c in batch for m in c.trained[1:]])
    part = gradient(fed, head, targets, shown / shown.sum(), dtype)
    others = {n: torch.randn(p.shape, generator=generator) for n, p in parameters.items()}
    flat = torch.cat([(part if n == HEAD else others[n]).reshape(-1).double() for n in sorted(parameters)])
    right = recorded_basis.right_step(of_scenario(task), MODEL, 0, batch, parameters, fed.double(), flat)
    zeros = {n: torch.zeros_like(p) for n, p in parameters.items()}
    noise = floor.measure(right, State(parameters, zeros, zeros))
    found, _ = right.basis.solve(flat)
    sure = floor.uncertainty(right, noise.noise) * float(right.weights.max())
    basis = right.basis
    assert isinstance(basis, recorded_basis.RecordedBasis)
    return Step(right, found, sure, floor.told(right, noise), basis.local.lengths / basis.counts)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_the_true_weight_lies_within_the_uncertainty(dtype: torch.dtype) -> None:
    within, every, unknown, known_wrong = 0, 0, 0, 0
    for seed in range(STEPS):
        step = made(seed, dtype)
        within += int((step.wrong <= step.uncertainty).sum())
        every += len(step.found)
        unknown += int((~step.told).sum())
        # Half of a trained token's weight, and it would be taken for the other kind.
        known_wrong += int((step.wrong[step.told] >= floor.TELL / step.right.targets).sum())
    assert within >= 0.99 * every
    assert 0.01 * every < unknown < 0.5 * every
    assert known_wrong == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_a_token_whose_gradient_is_too_short_is_unknown(dtype: torch.dtype) -> None:
    """The weight that is recovered of it may be anything, so that it is neither a finding nor right."""
    steps = [made(seed, dtype) for seed in range(5)]
    short = [step.lengths < 1e-2 * torch.finfo(dtype).eps * step.lengths.max() for step in steps]
    assert sum(int(one.sum()) for one in short) > 0
    assert not any(bool(step.told[one].any()) for step, one in zip(steps, short, strict=True))
    assert all(bool(step.told[step.lengths > 0.3 * step.lengths.max()].all()) for step in steps)


def test_a_gradient_of_which_nothing_can_be_told_leaves_the_floor_alone() -> None:
    """The floor of the others is what they have, not what such a token would make of it."""
    step = made(0, torch.float32)
    assert not bool(step.told.all())
    told = step.wrong[step.told] * step.right.targets
    assert float(told.max()) < 1e-2
