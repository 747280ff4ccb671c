"""Sequences from the exact distribution, and their exact values."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from adapters.contract import Lora, vary
from harness.mismatch import subject
from harness.oracle import forward
from scenarios import catalogue

SCENARIO = catalogue.get("sft-ragged")


def test_sequences_follow_from_the_seed() -> None:
    ids = subject.sampled(SCENARIO, 2, 6)
    assert ids.shape == (2, 6)
    assert torch.equal(ids, subject.sampled(SCENARIO, 2, 6))
    assert not torch.equal(ids, subject.sampled(dataclasses.replace(SCENARIO, seed=1), 2, 6))
    assert int(ids.max()) < SCENARIO.model.vocab_size


def test_exact_values_are_those_of_the_oracle_and_add_up_to_one() -> None:
    ids = subject.sampled(SCENARIO, 2, 6)
    found = subject.exact(SCENARIO, ids, torch.float32)
    losses = forward.losses(subject.parameters(SCENARIO), SCENARIO.model, ids[1])
    assert torch.allclose(found.chosen[1], -losses, atol=1e-12, rtol=0)
    assert torch.allclose(found.every.exp().sum(-1), torch.ones(2, 5, dtype=torch.float64))


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    scores = torch.tensor([0.2, 0.5, 0.0, 0.3], dtype=torch.float64).log()
    drawn = [subject._drawn(scores, (n + 0.5) / 1000) for n in range(1000)]
    assert [drawn.count(token) for token in range(4)] == [200, 500, 0, 300]


def test_rounded_parameters_give_other_exact_values() -> None:
    ids = subject.sampled(SCENARIO, 1, 6)
    base, *coarse = (subject.exact(SCENARIO, ids, dtype).chosen for dtype in subject.DTYPES.values())
    bfloat16, float16 = ((one - base).abs().mean() for one in coarse)
    assert bfloat16 > 4 * float16 > 0


def test_the_default_has_heads_that_vllm_takes() -> None:
    model = subject.own(3).model
    assert model.hidden_size // model.heads == 32
    assert subject.own(3).seed == 3


@pytest.mark.parametrize(
    ("changes", "length", "said"),
    [
        ({"architecture": "stablelm"}, 8, "no exact value of stablelm"),
        ({"lora": Lora()}, 8, "has low-rank updates"),
        ({}, 513, "has 512 positions"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_line(changes: dict[str, object], length: int, said: str) -> None:
    with pytest.raises(subject.BadSubject, match=said):
        subject.check(vary(SCENARIO, **changes), length)
