"""Low-rank updates against matrices that are written out, and their tail basis against the full one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from adapters.contract import Lora, Model
from harness.oracle import forward, full_basis, tail_basis
from harness.oracle.basis import Segment
from scenarios import weights

EVERY = ("q_proj", "v_proj", "down_proj", "embed_tokens")
PLAIN = Lora(targets=EVERY)
STABLE = Lora(rank=3, alpha=6.0, rslora=True, targets=EVERY, modules_to_save=("lm_head",))
SEGMENTS = [Segment((3, 9, 4, 7)), Segment((5, 2, 8))]


def model(lora: Lora) -> Model:
    return Model(vocab_size=11, hidden_size=8, heads=2, kv_heads=1, intermediate_size=12, lora=lora)


def parameters(wanted: Model) -> dict[str, Tensor]:
    return {name: torch.from_numpy(value).double() for name, value in weights.initial(wanted, 1).items()}


@pytest.mark.parametrize("lora", [PLAIN, STABLE], ids=["plain", "rslora"])
def test_a_pass_is_that_of_the_matrices_written_out(lora: Lora) -> None:
    wanted = model(lora)
    given = parameters(wanted)
    written = {name: value for name, value in given.items() if "lora" not in name}
    scale = lora.alpha / (lora.rank**0.5 if lora.rslora else lora.rank)
    for name, value in given.items():
        at = name.removesuffix("weight")
        if f"{at}lora_A.weight" in given:
            written[name] = value + scale * given[f"{at}lora_B.weight"] @ given[f"{at}lora_A.weight"]
        if f"{at}lora_embedding_A" in given:
            product = given[f"{at}lora_embedding_B"] @ given[f"{at}lora_embedding_A"]
            written[name] = value + scale * product.T
    ids = torch.tensor(SEGMENTS[0].ids)
    plain = Model(vocab_size=11, hidden_size=8, heads=2, kv_heads=1, intermediate_size=12)
    torch.testing.assert_close(forward.losses(given, wanted, ids), forward.losses(written, plain, ids))


@pytest.mark.parametrize("lora", [PLAIN, STABLE], ids=["plain", "rslora"])
def test_the_tail_tells_what_the_full_basis_tells(lora: Lora) -> None:
    wanted = model(lora)
    full = full_basis.build(parameters(wanted), wanted, SEGMENTS)
    tail = tail_basis.build(parameters(wanted), wanted, SEGMENTS)
    weights_ = torch.tensor([0.5, -0.2, 0.1, 0.7, 0.3], dtype=torch.float64)
    torch.testing.assert_close(tail.gradient(weights_), full.gradient(weights_))
    found, rest = tail.solve(full.gradient(weights_))
    torch.testing.assert_close(found, weights_)
    assert float(rest.norm()) < 1e-9


def test_only_what_is_trained_has_columns() -> None:
    wanted = model(STABLE)
    trained = [value.numel() for name, value in parameters(wanted).items() if wanted.trains(name)]
    assert full_basis.build(parameters(wanted), wanted, SEGMENTS).matrix.shape[1] == sum(trained)
    assert wanted.trains("lm_head.weight")
    assert not wanted.trains("model.layers.0.self_attn.q_proj.weight")


def test_without_a_trained_layer_behind_the_last_attention_the_full_basis_is_taken() -> None:
    wanted = model(Lora())
    assert isinstance(tail_basis.build(parameters(wanted), wanted, SEGMENTS), full_basis.FullBasis)
