"""An optimizer and a schedule as sections of DeepSpeed's configuration."""

from __future__ import annotations

from typing import Any

import pytest

import scenarios
from adapters.contract import Group, Schedule, vary
from adapters.families import deepspeed_given

RISING = Schedule(warmup_steps=2, warmup_from="zero", horizon=6)


def engine(**fields: Any) -> Any:
    return vary(scenarios.get("sft-ragged-decay-all"), given_in="engine", schedule=RISING, **fields)


def test_options_of_the_trainer_need_no_section() -> None:
    assert deepspeed_given.sections(scenarios.get("sft-ragged"), auto=False) == {}
    assert deepspeed_given.unsupported(scenarios.get("sft-ragged-groups")) is None


def test_what_the_trainer_says_is_left_to_it() -> None:
    told = deepspeed_given.sections(engine(), auto=True)
    params = told["optimizer"]["params"]
    assert params == {**dict.fromkeys(("lr", "weight_decay", "betas", "eps"), "auto"), "torch_adam": True}
    assert told["scheduler"]["params"]["warmup_max_lr"] == "auto"


@pytest.mark.parametrize(
    ("fields", "kind", "params"),
    [
        ({}, "WarmupLR", {"warmup_min_lr": 0.0, "warmup_max_lr": 1e-3, "warmup_type": "linear"}),
        ({"warmup_shape": "log"}, "WarmupLR", {"warmup_type": "log"}),
        ({"decay": "linear"}, "WarmupDecayLR", {"total_num_steps": 6, "warmup_num_steps": 2}),
        ({"decay": "cosine", "least": 0.1, "least_at": "last"}, "WarmupCosineLR", {"cos_min_ratio": 0.1}),
    ],
)
def test_a_schedule_is_one_of_its_own(fields: dict[str, Any], kind: str, params: dict[str, Any]) -> None:
    told = deepspeed_given.sections(engine(**fields), auto=False)["scheduler"]
    assert told["type"] == kind
    assert params.items() <= told["params"].items()
    assert deepspeed_given.unsupported(engine(**fields)) is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"decayed": "matrices"}, "one group"),
        ({"groups": (Group(("*norm*",), rate=0.5),)}, "one group"),
        ({"warmup_steps": 1}, "two steps or more"),
        ({"warmup_from": "first"}, "warm up from 0"),
        ({"decay": "polynomial"}, "polynomial"),
        ({"decay": "linear", "least": 0.1}, "WarmupDecayLR"),
        ({"decay": "cosine"}, "WarmupCosineLR"),
    ],
)
def test_what_it_cannot_say_is_refused(fields: dict[str, Any], said: str) -> None:
    assert said in (deepspeed_given.unsupported(engine(**fields)) or "")


def test_optimizers_of_squares_are_torchs() -> None:
    plain = vary(scenarios.get("sft-ragged-decay-all"), given_in="engine")
    told = deepspeed_given.sections(vary(plain, kind="adagrad"), auto=False)["optimizer"]
    assert told == {"type": "Adagrad", "params": {"lr": 1e-3, "weight_decay": 0.1, "eps": 1e-8}}
    told = deepspeed_given.sections(vary(plain, kind="rmsprop", alpha=0.9), auto=False)["optimizer"]
    assert told == {"type": "RMSprop", "params": {"lr": 1e-3, "weight_decay": 0.1, "alpha": 0.9, "eps": 1e-8}}


def test_sgd_is_torchs() -> None:
    told = deepspeed_given.sections(engine(kind="sgd", momentum=0.9), auto=False)["optimizer"]
    assert told == {"type": "SGD", "params": {"lr": 1e-3, "weight_decay": 0.1, "momentum": 0.9}}
