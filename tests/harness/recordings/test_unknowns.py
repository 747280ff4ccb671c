"""Steps of many tokens: those of a part of a text share an unknown, and are told apart where the residual asks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.oracle import local_basis
from harness.oracle.local_basis import Layer
from harness.recordings import head_basis, roles, unknowns
from lockstep_recorder.batch import EOS, TOLD, TRAINED


def step(seed: int, texts: int, length: int) -> tuple[Layer, roles.Places, Tensor]:
    """Texts of which the first quarter is a prompt, and the right weights of their tokens."""
    draw = torch.Generator().manual_seed(seed)
    text = torch.arange(texts).repeat_interleave(length)
    one = [TOLD] * (length // 4) + [TOLD | TRAINED] * (length - length // 4 - 1) + [TOLD | TRAINED | EOS]
    kind = torch.tensor(one * texts, dtype=torch.uint8)
    layer = Layer(*(torch.randn(len(text), 40, generator=draw).double() for _ in range(2)))
    trained = ((kind & TRAINED) != 0).double()
    return layer, roles.Places(torch.zeros_like(text), text // 2, text, kind), trained / trained.sum()


def recovered(layer: Layer, places: roles.Places, gradient: Tensor) -> Tensor:
    column = unknowns.shared(layer, gradient, roles.groupings(places))
    basis = head_basis.build(layer, torch.ones(len(column)), column)
    return (basis.solve(gradient)[0] / basis.counts)[column]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknowns, "MOST", 120)


@pytest.mark.usefixtures("few")
def test_tokens_that_weigh_alike_share_an_unknown() -> None:
    layer, places, weights = step(0, texts=10, length=32)
    gradient = layer.explained(weights)
    assert int(unknowns.shared(layer, gradient, roles.groupings(places)).max()) < 60
    torch.testing.assert_close(recovered(layer, places, gradient), weights, rtol=0, atol=1e-9)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("wrong", ["half of a text", "one token", "a whole text", "every eos"])
def test_a_text_is_opened_where_its_tokens_weigh_otherwise(wrong: str) -> None:
    layer, places, weights = step(1, texts=10, length=32)
    mine = ((places.text == 3) & (weights > 0)).nonzero()[:, 0]
    chosen = {"half of a text": mine[::2], "one token": mine[5:6], "a whole text": mine}
    eos = ((places.kind & EOS) != 0).nonzero()[:, 0]
    weights[chosen.get(wrong, eos)] = 0.0
    torch.testing.assert_close(recovered(layer, places, layer.explained(weights)), weights, rtol=0, atol=1e-9)


@pytest.mark.usefixtures("few")
def test_no_more_are_opened_than_can_be_solved() -> None:
    """Every token weighs otherwise: what cannot be told shows as a residual."""
    layer, places, _ = step(2, texts=10, length=32)
    gradient = layer.explained(torch.rand(320, generator=torch.Generator().manual_seed(0)).double())
    column = unknowns.shared(layer, gradient, roles.groupings(places))
    assert int(column.max()) < 120
    basis = head_basis.build(layer, torch.ones(320), column)
    assert float(basis.solve(gradient)[1].norm() / gradient.norm()) > 0.05


def test_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, places, weights = step(3, texts=10, length=32)
    monkeypatch.setattr(unknowns, "MOST", 4)
    with pytest.raises(unknowns.TooMany, match="more than the 4 texts"):
        unknowns.shared(layer, layer.explained(weights), roles.groupings(places))
    monkeypatch.setattr(unknowns, "TOKENS", 100)
    with pytest.raises(unknowns.TooMany, match="320 tokens, and 100"):
        unknowns.shared(layer, layer.explained(weights), roles.groupings(places))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), columns=st.integers(1, 30), tokens=st.integers(30, 80))
def test_products_of_sums_are_sums_of_products(seed: int, columns: int, tokens: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    layers = [Layer(*(torch.randn(tokens, n, generator=draw).double() for n in sizes)) for sizes in ((7, 5), (3, 9))]
    drawn = torch.randint(columns, (tokens,), generator=draw)
    column = torch.unique(drawn, return_inverse=True)[1]
    count = int(column.max()) + 1
    whole = torch.stack(
        [torch.cat([layer.explained((column == i).double()).reshape(-1) for layer in layers]) for i in range(count)]
    )
    torch.testing.assert_close(local_basis._gram_of_sums(layers, column, count), whole @ whole.T)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_sixty_thousand_tokens() -> None:
    draw = torch.Generator().manual_seed(0)
    text = torch.arange(120).repeat_interleave(500)
    kind = torch.tensor(([TOLD] * 125 + [TOLD | TRAINED] * 374 + [TOLD | TRAINED | EOS]) * 120, dtype=torch.uint8)
    layer = Layer(*(torch.randn(60_000, 512, generator=draw).double() for _ in range(2)))
    places = roles.Places(torch.zeros_like(text), text // 4, text, kind)
    trained = ((kind & TRAINED) != 0).double()
    weights = trained / trained.sum()
    found = recovered(layer, places, layer.explained(weights))
    assert float((found - weights).abs().max() / weights.max()) < 1e-6
