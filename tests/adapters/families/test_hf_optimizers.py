"""Optimizers by transformers' names."""

from __future__ import annotations

import scenarios
from adapters.contract import vary
from adapters.families import hf_optimizers


def test_momentum_is_told_by_arguments_of_the_optimizer() -> None:
    rule = vary(scenarios.get("sft-ragged"), kind="sgd", momentum=0.9).optimizer
    assert hf_optimizers.options(rule) == {"optim": "sgd", "optim_args": "momentum=0.9"}


def test_only_what_is_not_torchs_default_is_said_of_optimizers_of_squares() -> None:
    plain = scenarios.get("sft-ragged")
    rule = vary(plain, kind="adagrad", eps=1e-10).optimizer
    assert hf_optimizers.options(rule) == {"optim": "adagrad"}
    rule = vary(plain, kind="rmsprop", alpha=0.95, eps=1e-6).optimizer
    assert hf_optimizers.options(rule) == {"optim": "rmsprop", "optim_args": "alpha=0.95,eps=1e-06"}


def test_adamw_is_the_default() -> None:
    rule = vary(scenarios.get("sft-ragged"), beta2=0.95, eps=1e-6).optimizer
    assert hf_optimizers.options(rule) == {"adam_beta1": 0.9, "adam_beta2": 0.95, "adam_epsilon": 1e-6}
