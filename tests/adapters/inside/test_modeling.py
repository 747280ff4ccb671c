"""Families of models as an environment's transformers has them."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import get_args

import pytest

import scenarios
from adapters.contract import Architecture, Job, Unsupported
from adapters.inside import modeling
from scenarios import checkpoint

pytest.importorskip("transformers")

from adapters.inside.model import load_counting


def test_every_family_of_the_catalogue_is_known() -> None:
    assert [reason for name in scenarios.CATALOGUE if (reason := modeling.unknown(scenarios.get(name)))] == []


def test_a_family_that_transformers_has_not_is_named() -> None:
    base = scenarios.get("sft-ragged")
    later = replace(base, model=replace(base.model, architecture="of-tomorrow"))  # type: ignore[arg-type]
    assert "knows no model_type 'of-tomorrow'" in (modeling.unknown(later) or "")


def test_all_are_imported() -> None:
    modeling.import_all()
    names = {f"transformers.models.{family}.modeling_{family}" for family in get_args(Architecture)}
    assert names <= set(sys.modules)


def test_soft_caps_take_an_attention_that_has_them() -> None:
    caps = {name: modeling.attention_of(scenarios.get(name)) for name in ("sft-ragged", "sft-ragged-gemma")}
    assert caps == {"sft-ragged": "sdpa", "sft-ragged-gemma": "eager"}


@pytest.mark.parametrize("name", ["sft-ragged-gpt2", "sft-ragged-gemma"])
def test_a_model_whose_loss_takes_no_number_of_tokens_is_refused(name: str, tmp_path, monkeypatch) -> None:
    scenario = scenarios.get(name)
    checkpoint.write(scenario, tmp_path)
    job = Job("adapters.ddp_sft", "ddp", "2.13.0", scenario, str(tmp_path), str(tmp_path))
    model = load_counting(job)
    assert model.config.model_type == scenario.model.architecture
    # as GPT2LMHeadModel.forward of transformers 4.46.3 has it
    monkeypatch.setattr(type(model), "forward", lambda self, input_ids, attention_mask=None, labels=None: None)
    with pytest.raises(Unsupported, match="num_items_in_batch"):
        load_counting(job)
