"""The oracle's forward pass of Mixtral against transformers' own, both in float64, and what routing needs of a seed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

import scenarios
from adapters.contract import Model
from harness.oracle import forward
from harness.oracle.architectures.mixtral import chosen
from scenarios import checkpoint, text, weights
from tests.harness.oracle.architectures.exact import Rotary, parameters
from tests.harness.oracle.test_forward import tokens

transformers = pytest.importorskip("transformers")
modeling_mixtral = pytest.importorskip("transformers.models.mixtral.modeling_mixtral")

SMALL = Model(
    architecture="mixtral", vocab_size=24, hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=12,
    experts=4, experts_per_token=2, init_std=0.3,
)  # fmt: skip
GEOMETRIES = {
    "base": Model(architecture="mixtral", experts=4, experts_per_token=2, intermediate_size=32, init_std=0.2),
    "one-layer": SMALL,
    "three-layers": replace(SMALL, layers=3),
    "one-of-four": replace(SMALL, experts_per_token=1),
    "all-of-three": replace(SMALL, experts=3, experts_per_token=3),
    "one-expert": replace(SMALL, experts=1, experts_per_token=1),
    "eight": replace(SMALL, experts=8),
    "tied": replace(SMALL, tied_embeddings=True),
}


@pytest.fixture
def mixtral(monkeypatch):
    """transformers' model in float64 all through: its rotary angles, norms and router are in float32 whatever the
    model's dtype (models/mixtral/modeling_mixtral.py, 4.57.1)."""
    names = {name: getattr(torch.nn.functional, name) for name in ("one_hot", "linear")}
    functional = SimpleNamespace(**names, softmax=lambda x, dim, dtype=None: torch.softmax(x, dim))
    monkeypatch.setattr(modeling_mixtral, "F", functional)
    monkeypatch.setattr(
        modeling_mixtral, "MixtralRMSNorm", lambda size, eps: torch.nn.RMSNorm(size, eps, dtype=torch.float64)
    )

    def made(model: Model, values: dict[str, Tensor], auxiliary: float = 0.0):
        config = transformers.MixtralConfig(**checkpoint.config(model, auxiliary), attn_implementation="sdpa")
        result = transformers.MixtralForCausalLM(config).double().eval()
        result.model.rotary_emb = Rotary(model)
        missing = result.load_state_dict(values, strict=False).missing_keys
        assert missing == (["lm_head.weight"] if model.tied_embeddings else [])
        return result

    return made


@pytest.mark.parametrize("name", GEOMETRIES)
def test_logits_and_gradients_are_those_of_transformers(name: str, mixtral) -> None:
    model = GEOMETRIES[name]
    values, ids = {n: v.requires_grad_() for n, v in parameters(model).items()}, tokens(model, 19)
    theirs = mixtral(model, {n: v.detach() for n, v in values.items()})
    scores = theirs(ids[None]).logits[0]
    ours = forward.logits(values, model, ids, torch.arange(19), torch.zeros_like(ids))
    assert ours.dtype == torch.float64
    assert (ours - scores).abs().max() < 1e-10 * scores.abs().max()
    torch.nn.functional.cross_entropy(scores[:-1], ids[1:], reduction="sum").backward()
    found = torch.autograd.grad(forward.losses(values, model, ids).sum(), list(values.values()))
    held = dict(theirs.named_parameters())
    for key, gradient in zip(values, found, strict=True):
        right = held[key].grad if held[key].grad is not None else torch.zeros_like(gradient)  # an expert without tokens
        assert (gradient - right).abs().max() < 1e-10 * max(1.0, float(right.abs().max())), key


def test_names_and_their_order_are_those_of_transformers(mixtral) -> None:
    model = GEOMETRIES["three-layers"]
    held = mixtral(model, parameters(model)).named_parameters()
    assert {n: tuple(p.shape) for n, p in held} == weights.shapes(model)


def test_routers_are_given_layer_by_layer() -> None:
    model = GEOMETRIES["three-layers"]
    ids = tokens(model, 7)
    made = forward.passed(parameters(model), model, ids, torch.arange(7), torch.zeros_like(ids))
    assert [tuple(router.shape) for router in made.routers] == [(7, 4)] * 3
    dense = Model(vocab_size=24)
    assert forward.passed(parameters(dense), dense, ids, torch.arange(7), torch.zeros_like(ids)).routers == ()


def test_a_token_has_as_many_experts_as_it_should_even_where_all_are_alike() -> None:
    router = torch.zeros(5, 4, dtype=torch.float64)
    assert chosen(router, 2).sum(-1).tolist() == [2.0] * 5


def test_an_expert_without_tokens_has_no_gradient() -> None:
    """Else it would move by what it did not see."""
    model = replace(SMALL, experts_per_token=1)
    values = {n: v.requires_grad_() for n, v in parameters(model).items()}
    ids = tokens(model, 3)
    made = forward.passed(values, model, ids, torch.arange(3), torch.zeros_like(ids))
    idle = (chosen(made.routers[0], 1).sum(0) == 0).nonzero().flatten().tolist()
    assert idle
    found = torch.autograd.grad(made.logits.sum(), list(values.values()))
    silent = {name for name, g in zip(values, found, strict=True) if not bool(g.any())}
    assert {f"model.layers.0.block_sparse_moe.experts.{e}.w2.weight" for e in idle} <= silent


NEAREST = 1e-5
"""How near the last expert of a token that is chosen may come to the first that is not, in logits of about 1. float32
moves them by some 1e-7, so that nothing is routed otherwise there."""


@pytest.mark.parametrize("seed", range(8))
def test_no_token_is_nearly_routed_otherwise(seed: int) -> None:
    """At the first step, that is: training moves the logits, and what happens then the recorded runs tell."""
    assert nearest(seed) > NEAREST


def nearest(seed: int) -> float:
    scenario = scenarios.get("sft-ragged-moe", seed)
    values = {n: torch.from_numpy(v).double() for n, v in weights.initial(scenario.model, scenario.seed).items()}
    rows = [
        row.ids for row in text.render_all(scenario.data.rows[: scenario.rows_per_step], scenario.tokenizer.vocabulary)
    ]
    with torch.no_grad():
        made = forward.passed(values, scenario.model, *forward.joined(rows))
    best = torch.cat(made.routers).sort(dim=-1, descending=True).values
    count = scenario.model.experts_per_token
    return float((best[:, count - 1] - best[:, count]).min())
