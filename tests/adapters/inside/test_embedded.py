"""What the first layer is given of the embedding is kept where noise is asked for, or where there is some."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adapters.inside.embedded import Embedded

IDS = torch.tensor([[3, 4, 3, 6], [7, 3, 9, 0]])
REAL = torch.tensor([[True, True, True, True], [True, True, True, False]])


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 6)

    def get_input_embeddings(self) -> nn.Module:
        return self.embed


def noisy(_: nn.Module, __: object, output: Tensor) -> Tensor:
    return output + torch.rand_like(output)


def passed(model: Model, kept: Embedded, number: int = 0) -> Tensor:
    kept.begin(IDS)
    given: Tensor = model.embed(IDS)
    kept.end(number, REAL)
    return given.detach()


def test_without_noise_nothing_is_kept() -> None:
    model = Model()
    kept = Embedded(model, False, lambda hook: hook)
    passed(model, kept)
    assert kept.take(1) == {}


def test_what_is_asked_for_is_kept_though_nothing_is_added() -> None:
    model = Model()
    kept = Embedded(model, True, lambda hook: hook)
    given = passed(model, kept)
    assert torch.equal(kept.take(1)[0], given[REAL])


def test_noise_is_kept_though_nobody_asks_for_it_and_its_hook_came_later() -> None:
    model = Model()
    kept = Embedded(model, False, lambda hook: hook)
    model.embed.register_forward_hook(noisy)
    given = passed(model, kept)
    assert torch.equal(kept.take(1)[0], given[REAL])


def test_of_a_step_of_which_some_was_not_seen_nothing_is_kept() -> None:
    model = Model()
    kept = Embedded(model, True, lambda hook: hook)
    passed(model, kept, 1)
    assert kept.take(2) == {}


def test_what_is_no_forward_pass_of_a_batch_is_not_kept() -> None:
    """Evaluation, or a look-up of other tokens."""
    model = Model()
    kept = Embedded(model, True, lambda hook: hook)
    given = passed(model, kept)
    model.embed(IDS + 1)
    kept.begin(IDS)
    model.embed(IDS[:, :2])
    kept.end(1, REAL)
    assert torch.equal(kept.take(1)[0], given[REAL])
