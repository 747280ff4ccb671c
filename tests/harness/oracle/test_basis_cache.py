"""Equal bases are built once, and any bit makes another one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from adapters.contract import Model
from harness.oracle.basis import Segment
from harness.oracle.basis_cache import BUILD, BasisCache, Kind
from scenarios import weights

MODEL = Model(vocab_size=24, hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=20, init_std=0.3)
SEGMENTS = (Segment((3, 9, 4, 17, 1)), Segment((3, 9, 5, 6, 20, 1)), Segment((7, 2)))

kinds = pytest.mark.parametrize("kind", list(BUILD))


def parameters(seed: int = 0) -> dict[str, Tensor]:
    return {n: torch.from_numpy(v) for n, v in weights.initial(MODEL, seed).items()}


@kinds
def test_the_cache_gives_the_same_object_for_equal_input(kind: Kind) -> None:
    cache = BasisCache()
    first = cache.get(kind, parameters(), MODEL, SEGMENTS)
    assert cache.get(kind, parameters(), replace(MODEL), tuple(SEGMENTS)) is first
    assert cache.get(kind, parameters(seed=1), MODEL, SEGMENTS) is not first
    assert cache.get(kind, parameters(), MODEL, SEGMENTS[:2]) is not first
    assert cache.get(kind, parameters(), replace(MODEL, rms_eps=1e-6), SEGMENTS) is not first
    assert cache.get(kind, parameters(), MODEL, SEGMENTS) is first


@kinds
def test_one_bit_is_another_basis(kind: Kind) -> None:
    cache = BasisCache()
    first = cache.get(kind, parameters(), MODEL, SEGMENTS)
    changed = parameters()
    changed["model.norm.weight"].view(torch.int32)[3] ^= 1
    assert cache.get(kind, changed, MODEL, SEGMENTS) is not first


@kinds
def test_the_cache_forgets_what_was_used_longest_ago(kind: Kind) -> None:
    cache = BasisCache(keep=2)
    one, two, three = ((s,) for s in SEGMENTS)
    first = cache.get(kind, parameters(), MODEL, one)
    second = cache.get(kind, parameters(), MODEL, two)
    assert cache.get(kind, parameters(), MODEL, one) is first
    cache.get(kind, parameters(), MODEL, three)
    assert cache.get(kind, parameters(), MODEL, one) is first
    assert cache.get(kind, parameters(), MODEL, two) is not second


def test_kinds_are_kept_apart() -> None:
    cache = BasisCache()
    tail, full = (cache.get(kind, parameters(), MODEL, SEGMENTS) for kind in BUILD)
    assert type(tail) is not type(full)
