"""Initial weights are a function of the seed, equal to the bit on every machine."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from adapters.contract import Model
from scenarios import weights
from scenarios.text import uniforms

SHA256 = {
    0: "99ed63d254cd8b1727cbe6870ce9d88b1699d277a2e7a453ea1eb4a141cb4fbd",
    1: "677af7db76f1cc27fc105a6351f01f45d1c1aded5a6274ba981eb366367d2a66",
}


@pytest.mark.parametrize("seed", SHA256)
def test_weights_are_what_they_were(seed: int) -> None:
    digest = hashlib.sha256()
    for name, value in weights.initial(Model(), seed).items():
        digest.update(name.encode() + value.astype("<f4").tobytes())
    assert digest.hexdigest() == SHA256[seed]


def test_no_global_generator_is_read_or_moved() -> None:
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    first = weights.initial(Model(), 0)
    numpy_draw, torch_draw = np.random.random(), torch.rand(()).item()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    assert np.random.random() == numpy_draw  # noqa: NPY002
    assert torch.rand(()).item() == torch_draw
    again = weights.initial(Model(), 0)
    assert all((first[name] == again[name]).all() for name in first)


def test_draws_are_uniform() -> None:
    draws = uniforms(5, 20_000)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert abs(draws.mean() - 0.5) < 0.01
    assert abs(draws.var() - 1 / 12) < 0.002


def test_matrices_have_the_deviation_asked_for_and_norms_are_unlike() -> None:
    model = Model(init_std=0.3)
    values = weights.initial(model, 2)
    assert {n: v.shape for n, v in values.items()} == weights.shapes(model)
    for name, value in values.items():
        assert value.dtype == np.float32
        if value.ndim == 2:
            assert abs(value.std() / 0.3 - 1) < 0.05, name
        else:
            assert 0.8 <= value.min() < value.max() <= 1.2
            assert len(np.unique(value)) == len(value), name


def test_tied_embeddings_have_no_head_of_their_own() -> None:
    untied, tied = weights.shapes(Model()), weights.shapes(replace(Model(), tied_embeddings=True))
    assert set(untied) - set(tied) == {"lm_head.weight"}
    # All other weights are the same: the head is drawn last.
    first, second = weights.initial(Model(), 0), weights.initial(replace(Model(), tied_embeddings=True), 0)
    assert all((first[name] == second[name]).all() for name in second)
