"""Corrections of a mismatch: what each token of a response is weighed with, from both log-probabilities of it.

The ratio of a token is p / q: p of the trainer, q of the sampler. They are those of verl 0.9.1
(`trainer/ppo/rollout_corr_helper.py`, `compute_rollout_correction_weights`) and TRL 1.16.0
(`trainer/grpo_trainer.py`, `vllm_importance_sampling_mode`), with their default bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

SAFE = 20.0
"""A logarithm of a ratio is kept within this, as verl does it."""
UPPER, BAND, MOST = 2.0, (0.5, 5.0), 3.0
"""verl's bound of truncation; IcePop's band; TRL's bound of what it masks."""

Weights = Callable[[Tensor], Tensor]
"""From the logarithms of the ratios of all tokens, [rows, tokens], to weights of the same shape."""


@dataclass(frozen=True)
class Correction:
    what: str
    weights: Weights


def ratios(logs: Tensor) -> Tensor:
    """Of single tokens."""
    return logs.clamp(-SAFE, SAFE).exp()


def of_sequences(logs: Tensor) -> Tensor:
    """The product over a sequence, for each of its tokens."""
    return ratios(logs.sum(1, keepdim=True)).expand_as(logs)


def kept(found: Tensor, least: float, most: float) -> Tensor:
    """Those within bounds, and 0 for the others."""
    return torch.where((found >= least) & (found <= most), found, 0.0)


NONE = "none"
CORRECTIONS: Mapping[str, Correction] = {
    NONE: Correction("nothing is corrected", torch.ones_like),
    "token TIS": Correction(
        f"each token's ratio, at most {UPPER:g} (verl `token`)", lambda logs: ratios(logs).clamp(max=UPPER)
    ),
    "sequence TIS": Correction(
        f"the sequence's ratio, at most {UPPER:g} (verl `sequence`)", lambda logs: of_sequences(logs).clamp(max=UPPER)
    ),
    "token mask": Correction(
        f"each token's ratio, 0 outside {BAND[0]:g} to {BAND[1]:g} (IcePop; verl `{BAND[0]}_{BAND[1]}`)",
        lambda logs: kept(ratios(logs), *BAND),
    ),
    "sequence mask": Correction(
        f"the sequence's ratio, 0 above {MOST:g} (TRL `sequence_mask`)",
        lambda logs: kept(of_sequences(logs), 0.0, MOST),
    ),
}
