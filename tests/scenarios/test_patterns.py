"""Names in a scenario that no parameter of its model has."""

from __future__ import annotations

from typing import Any

import pytest

import scenarios
from adapters.contract import Group, Lora, Model, vary
from scenarios import patterns

BASE = scenarios.get("sft-ragged")


@pytest.mark.parametrize("name", scenarios.CATALOGUE)
def test_those_of_named_scenarios_are_there(name: str) -> None:
    patterns.check(scenarios.get(name))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"groups": (Group(("*norm*", "nothing.*")),)}, r"optimizer\.groups\[0\]\.tensors has 'nothing\.\*', and no"),
        ({"frozen": ("typo*",)}, r"model\.frozen has 'typo\*', and no parameter"),
        ({"frozen": ("*",)}, r"model\.frozen leaves no parameter to train"),
        ({"lora": Lora(), "frozen": ("*lora*",)}, r"model\.frozen leaves no parameter to train"),
        ({"lora": Lora(targets=("q",))}, r"model\.lora\.targets has 'q', and no matrix is called so, but down_proj"),
        ({"lora": Lora(targets=("input_layernorm",))}, r"model\.lora\.targets has 'input_layernorm', and no matrix"),
        (
            {"lora": Lora(modules_to_save=("head",))},
            r"model\.lora\.modules_to_save has 'head', and no module",
        ),
    ],
)
def test_those_that_no_parameter_has_are_told_in_one_line(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        patterns.check(vary(BASE, **changed))
    assert "\n" not in str(raised.value)


def test_patterns_are_of_names_in_the_checkpoint() -> None:
    patterns.check(vary(BASE, frozen=("model.layers.0.*",), groups=(Group(("lm_head.weight",)),)))
    patterns.check(vary(BASE, lora=Lora(modules_to_save=("lm_head",)), groups=(Group(("*lora_A*",)),)))
    patterns.check(vary(BASE, model=Model(architecture="gpt2", kv_heads=4), frozen=("*.bias",)))
