"""The two parts of a tied embedding's gradient add up to the whole, and each is told from what lacks it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from adapters.contract import Model
from harness.oracle import full_basis, tied
from harness.oracle.basis import Segment
from scenarios import weights

SMALL = Model(vocab_size=24, hidden_size=16, layers=2, heads=2, kv_heads=2, intermediate_size=20, init_std=0.3)
MODELS = {
    "llama": replace(SMALL, tied_embeddings=True),
    "gpt2": replace(SMALL, architecture="gpt2", max_positions=8, tied_embeddings=True),
    "gemma2": replace(SMALL, architecture="gemma2", tied_embeddings=True, attention_softcap=0.7, final_softcap=1.1),
}
SEGMENTS = (Segment((3, 9, 4, 17, 1)), Segment((3, 9, 5, 6, 20, 1)), Segment((7, 2)))


@pytest.mark.parametrize("name", MODELS)
def test_parts_are_the_whole_gradient_of_the_embedding(name: str) -> None:
    model = MODELS[name]
    parameters = {n: torch.from_numpy(v) for n, v in weights.initial(model, 0).items()}
    basis = full_basis.build(parameters, model, SEGMENTS)
    wanted = torch.linspace(0.5, 2.0, len(basis.losses), dtype=torch.float64)
    gradient = basis.gradient(wanted)
    found = tied.parts(parameters, model, SEGMENTS, gradient)
    sizes = [parameters[n].numel() for n in sorted(parameters)]
    both = dict(zip(sorted(parameters), torch.split(found.by_input + found.by_head, sizes), strict=True))
    whole = dict(zip(sorted(parameters), torch.split(gradient, sizes), strict=True))
    (embedding,) = [n for n, part in both.items() if part.any()]
    assert embedding.endswith(("embed_tokens.weight", "wte.weight"))
    assert torch.allclose(both[embedding], whole[embedding], rtol=0, atol=1e-10)
    assert found.rest.norm() < 1e-9 * gradient.norm()
    assert min(found.by_input.norm(), found.by_head.norm()) > 0.01 * gradient.norm()


@pytest.mark.parametrize("name", MODELS)
def test_what_lacks_a_part_leaves_that_part(name: str) -> None:
    model = MODELS[name]
    parameters = {n: torch.from_numpy(v) for n, v in weights.initial(model, 0).items()}
    gradient = full_basis.build(parameters, model, SEGMENTS).gradient(torch.ones(9, dtype=torch.float64))
    by_head = tied.parts(parameters, model, SEGMENTS, gradient).by_head
    lacking = tied.parts(parameters, model, SEGMENTS, gradient - by_head)
    assert torch.allclose(lacking.rest, -by_head, rtol=0, atol=1e-9)
    assert torch.allclose(lacking.by_head, by_head, rtol=0, atol=1e-9)
