"""The field's own numbers of a mismatch, as verl reckons them, on the tokens that a sampler drew.

verl 0.9.1, `trainer/ppo/rollout_corr_helper.py`, `compute_offpolicy_metrics`, whose names are `rollout_corr/kl`,
`k3_kl`, `chi2_token` and `chi2_seq`.
"""

from __future__ import annotations

from torch import Tensor

from harness.policy.corrections import of_sequences, ratios

NAMES = ("kl", "k3_kl", "chi2_token", "chi2_seq")


def measured(logs: Tensor) -> dict[str, float]:
    """Of logarithms of p / q, [rows, tokens]."""
    found = {
        "kl": -logs,
        "k3_kl": logs.expm1() - logs,
        "chi2_token": ratios(logs).square() - 1,
        "chi2_seq": of_sequences(logs)[:, 0].square() - 1,
    }
    return {name: float(values.mean()) for name, values in found.items()}
