"""What frameworks call the distance between trainer and engine, by their own names and formulas. Pure functions.

`old` is how likely the trainer holds each token, `rollout` how likely the engine does: float64 [rows, length], in nats,
without padding. All of them are means over tokens or rows that somebody sampled. They estimate the divergence that they
are named for only where the engine did.
"""

from __future__ import annotations

import torch
from torch import Tensor

SAFETY_BOUND = 20.0
"""`SAFETY_BOUND` of verl/trainer/ppo/rollout_corr_helper.py, 0.9.1."""
CLIP_MAX = 3.0
"""`vllm_importance_sampling_clip_max` of trl 1.16.0."""


def verl(old: Tensor, rollout: Tensor) -> dict[str, float]:
    """`compute_offpolicy_metrics` of verl/trainer/ppo/rollout_corr_helper.py, 0.9.1, with the prefix that it logs."""
    ratio = old - rollout
    of_rows = -old.mean(1), -rollout.mean(1)
    apart = of_rows[0] - of_rows[1]
    bounded = ratio.clamp(-SAFETY_BOUND, SAFETY_BOUND)
    of_row = ratio.sum(1).clamp(-SAFETY_BOUND, SAFETY_BOUND)
    found = {
        "training_ppl": of_rows[0].exp().mean(),
        "training_log_ppl": of_rows[0].mean(),
        "kl": (-ratio).mean(),
        "k3_kl": (ratio.exp() - ratio - 1).mean(),
        "rollout_ppl": of_rows[1].exp().mean(),
        "rollout_log_ppl": of_rows[1].mean(),
        "log_ppl_diff": apart.mean(),
        "log_ppl_abs_diff": apart.abs().mean(),
        "log_ppl_diff_max": apart.max(),
        "log_ppl_diff_min": apart.min(),
        "ppl_ratio": apart.exp().mean(),
        "chi2_token": (2 * bounded).exp().mean() - 1,
        "chi2_seq": (2 * of_row).exp().mean() - 1,
    }
    return {f"rollout_corr/{name}": float(value) for name, value in found.items()}


def trl(old: Tensor, rollout: Tensor) -> dict[str, float]:
    """What GRPOTrainer of trl 1.16.0 logs with vLLM and its default, `vllm_importance_sampling_mode="sequence_mask"`:
    the ratio of a row is 0 where it is above CLIP_MAX."""
    apart = (old - rollout).abs()
    ratio = (old - rollout).sum(1).exp()
    kept = torch.where(ratio > CLIP_MAX, 0.0, ratio)
    return {
        "sampling/sampling_logp_difference/mean": float(apart.mean()),
        "sampling/sampling_logp_difference/max": float(apart.max()),
        "sampling/importance_sampling_ratio/min": float(kept.min()),
        "sampling/importance_sampling_ratio/mean": float(kept.mean()),
        "sampling/importance_sampling_ratio/max": float(kept.max()),
    }


def openrlhf(old: Tensor, rollout: Tensor) -> dict[str, float]:
    """`PolicyLoss.forward` of openrlhf/models/loss.py, 0.11.2."""
    return {"vllm_kl": float((rollout - old).mean())}


def every(old: Tensor, rollout: Tensor) -> dict[str, float]:
    """All of them."""
    return {**verl(old, rollout), **trl(old, rollout), **openrlhf(old, rollout)}


def divergence(of: Tensor, from_: Tensor) -> float:
    """The true one, KL(of || from_), in nats: a sum over the vocabulary, and the mean of it over places. Both are
    log-probabilities [rows, length, vocabulary]."""
    likely = of.double()
    likely = likely - likely.logsumexp(-1, keepdim=True)
    other = from_.double()
    other = other - other.logsumexp(-1, keepdim=True)
    return float((likely.exp() * (likely - other)).sum(-1).mean())
