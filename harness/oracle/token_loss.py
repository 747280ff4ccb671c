"""The loss of one token from the logits that predict it: negative log-likelihood, smoothed or weighed by itself."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.intent.intent import TokenLoss

NLL = TokenLoss()


def of_logits(logits: Tensor, targets: Tensor, kind: TokenLoss = NLL) -> Tensor:
    """Loss of every token, [T] in nats, in float32 at least. logits: [T, vocabulary]; targets: int64 [T].

    With smoothing e it is (1 - e) nll + e u, u being the mean of -log p over the whole vocabulary (Szegedy et al. 2016,
    as torch has it). By probability it is that times p(target), through which nothing is differentiated (Wu et al.
    2025, https://arxiv.org/abs/2508.05629).
    """
    # In float32 at least, as every framework does it, and with it what goes back to the logits.
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    whole = wide.logsumexp(-1)
    nll = whole - wide.gather(1, targets[:, None])[:, 0]
    loss = nll
    if kind.label_smoothing:
        loss = (1.0 - kind.label_smoothing) * nll + kind.label_smoothing * (whole - wide.mean(-1))
    return loss * (-nll).exp().detach() if kind.by_probability else loss


def uniform(logits: Tensor) -> Tensor:
    """u of every token, as in `of_logits`: [T]."""
    return logits.logsumexp(-1) - logits.mean(-1)


def slopes(shares: Tensor, targets: Tensor, rows: Tensor, kind: TokenLoss = NLL) -> Tensor:
    """Gradient of every token's loss at its logits, at the chosen rows: [T, rows]. shares: their softmax [T,
    vocabulary]; rows: int64 [rows], vocabulary entries."""
    hit = (rows == targets[:, None]).to(shares.dtype)
    wanted = (1.0 - kind.label_smoothing) * hit + kind.label_smoothing / shares.shape[1]
    found = shares[:, rows] - wanted
    return found * shares.gather(1, targets[:, None]) if kind.by_probability else found
