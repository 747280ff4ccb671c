"""Mismatches are what their names say, and their sizes are in order."""

from __future__ import annotations

import pytest
import torch

from harness.policy import measures, mismatches, task
from harness.policy.mismatches import EXACT, KINDS, Mismatch

LOGITS = 3 * torch.randn(4000, task.VOCABULARY, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
EVERY = [Mismatch(kind, size) for kind, made in KINDS.items() for size in made.sizes]


def changed(mismatch: Mismatch, place: int = 0) -> torch.Tensor:
    return mismatches.changed(mismatch, task.LENGTH, torch.Generator().manual_seed(1))(LOGITS, place)


def divergence(mismatch: Mismatch) -> float:
    """Of q from p, in the mean over all rows."""
    p, q = LOGITS.log_softmax(-1), changed(mismatch, task.LENGTH // 2).log_softmax(-1)
    return float((q.exp() * (q - p)).sum(-1).mean())


def test_exact_is_exact() -> None:
    assert torch.equal(changed(EXACT), LOGITS)


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_are_in_their_order(kind: str) -> None:
    found = [divergence(Mismatch(kind, size)) for size in KINDS[kind].sizes]
    assert found == sorted(found)
    assert found[0] > 0


@pytest.mark.parametrize("mismatch", EVERY, ids=lambda one: one.label)
def test_they_stay_in_float64(mismatch: Mismatch) -> None:
    assert changed(mismatch).dtype == torch.float64


def test_rounding_is_that_of_the_dtype() -> None:
    assert torch.equal(changed(Mismatch("rounding", "bf16")).bfloat16().double(), changed(Mismatch("rounding", "bf16")))
    errors = [((changed(Mismatch("rounding", size)) - LOGITS) / LOGITS).abs().max() for size in ("fp16", "bf16")]
    assert errors[0] <= 2**-11
    assert 2**-10 < errors[1] <= 2**-8


def test_growing_noise_has_the_mean_square_of_noise_and_grows() -> None:
    squares = [(changed(Mismatch("growing noise", "2"), at) - LOGITS).square().mean() for at in range(task.LENGTH)]
    assert squares == sorted(squares)
    assert float(sum(squares)) / task.LENGTH == pytest.approx(4.0, rel=0.05)


def test_a_bias_is_the_same_at_every_place() -> None:
    changed_by = mismatches.changed(Mismatch("bias", "1"), task.LENGTH, torch.Generator().manual_seed(1))
    torch.testing.assert_close(changed_by(LOGITS, 0) - LOGITS, changed_by(LOGITS[:1], 3) - LOGITS[:1] + 0 * LOGITS)


def test_measures_by_hand() -> None:
    logs = torch.tensor([[0.5, -0.25]], dtype=torch.float64)
    found = measures.measured(logs)
    assert found == pytest.approx({
        "kl": -0.125,
        "k3_kl": (torch.expm1(logs) - logs).mean().item(),
        "chi2_token": (torch.exp(2 * logs) - 1).mean().item(),
        "chi2_seq": 2.718281828**0.5 - 1,
    })  # fmt: skip
