"""The loss of one token, against torch's own, and its gradient at the logits against autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.intent.intent import TokenLoss
from harness.oracle import token_loss

KINDS = [TokenLoss(), TokenLoss(label_smoothing=0.1), TokenLoss(by_probability=True)]


def drawn() -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    return torch.randn(7, 11, dtype=torch.float64), torch.randint(0, 11, (7,))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_smoothing_is_as_torch_has_it(share: float) -> None:
    logits, targets = drawn()
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="none", label_smoothing=share)
    torch.testing.assert_close(token_loss.of_logits(logits, targets, TokenLoss(label_smoothing=share)), expected)


def test_nothing_is_differentiated_through_the_probability() -> None:
    logits, targets = drawn()
    leaf = logits.requires_grad_()
    (found,) = torch.autograd.grad(token_loss.of_logits(leaf, targets, TokenLoss(by_probability=True)).sum(), leaf)
    p = leaf.detach().softmax(-1)
    own = p.gather(1, targets[:, None])
    expected = own * (p - torch.nn.functional.one_hot(targets, 11))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kind", KINDS, ids=["plain", "smoothed", "by-probability"])
def test_slopes_are_the_gradient_at_the_logits(kind: TokenLoss) -> None:
    logits, targets = drawn()
    leaf = logits.requires_grad_()
    (whole,) = torch.autograd.grad(token_loss.of_logits(leaf, targets, kind).sum(), leaf)
    rows = torch.tensor([0, 3, 10])
    found = token_loss.slopes(leaf.detach().softmax(-1), targets, rows, kind)
    torch.testing.assert_close(found, whole[:, rows])
