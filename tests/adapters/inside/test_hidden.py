"""What feeds a model's head is found without its name, and where it cannot be told, nothing is kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from adapters.inside.hidden import HiddenStates

WORDS, WIDTH = 11, 6
IDS = torch.tensor([[3, 4, 5, 6], [7, 8, 9, 0]])
STARTS = [[0, 0, 0, 0], [0, 0, 0, -1]]
KEPT = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
"""The last of the second row predicts padding; nothing is behind the last of the first."""


class Decoder(nn.Module):
    """Modules are registered in another order than they are called, as in transformers' own."""

    def __init__(self, checkpointing: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, WIDTH)
        self.final = nn.LayerNorm(WIDTH)
        self.mixed = nn.Linear(WIDTH, WIDTH)
        self.turned = nn.Identity()
        self.checkpointing = checkpointing
        self.made: list[Tensor] = []

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        x = self.turned(self.embed(ids))
        x = checkpoint(self.mixed, x, use_reentrant=False) if self.checkpointing else self.mixed(x)
        x = self.final(x)
        self.made.append(x.detach().clone())
        return {"last_hidden_state": x}


class Causal(nn.Module):
    def __init__(self, checkpointing: bool = False, head: str = "called", scale: float = 1.0) -> None:
        super().__init__()
        self.lm_head = nn.Linear(WIDTH, WORDS, bias=False)
        self.model = Decoder(checkpointing)
        self.head, self.scale = head, scale

    def get_output_embeddings(self) -> nn.Module | None:
        return None if self.head == "not told" else self.lm_head

    def forward(self, ids: Tensor, keep: slice = slice(None)) -> Tensor:
        x = self.scale * self.model(ids)["last_hidden_state"][:, keep]
        if self.head == "in pieces":
            return torch.cat([part @ self.lm_head.weight.T for part in x.split(2, dim=1)], dim=1)
        result: Tensor = self.lm_head(x)
        return result


def passed(states: HiddenStates, model: Causal, number: int = 0, **given: Any) -> Tensor:
    """One forward and backward pass; what fed the head in it."""
    states.begin(IDS)
    logits = model(IDS, **given)
    states.end(number, STARTS)
    logits.sum().backward()  # what is checkpointed is computed again
    return torch.stack([model.model.made[-1][i, j] for i, j in KEPT])


@pytest.mark.parametrize("head", ["called", "in pieces"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_feeds_the_head_is_kept_of_every_pass(head: str, checkpointing: bool) -> None:
    model = Causal(checkpointing, head)
    states = HiddenStates(model)
    for _ in range(2):
        right = {number: passed(states, model, number) for number in range(3)}
        taken = states.take()
        assert taken.keys() == right.keys()
        assert all(torch.equal(taken[number], right[number]) for number in right)
        assert not any(kept.requires_grad for kept in taken.values())
    assert states.take() == {}


def test_one_module_is_watched_once_it_is_found() -> None:
    model = Causal()
    states = HiddenStates(model)
    passed(states, model)
    assert [name for name, m in model.named_modules() if m._forward_hooks or m._forward_pre_hooks] == ["model.final"]


def test_a_head_that_is_given_some_positions_alone_is_fed_by_the_same_module() -> None:
    model = Causal()
    states = HiddenStates(model)
    right = passed(states, model, keep=slice(1, 3))
    assert torch.equal(states.take()[0], right)


@pytest.mark.parametrize(
    "model", [Causal(head="not told"), Causal(scale=0.5), nn.Linear(2, 2)], ids=["no head", "scaled", "no method"]
)
def test_nothing_is_kept_where_it_cannot_be_told(model: nn.Module) -> None:
    """A model that multiplies before its head: no module of it has made what the head gets."""
    states = HiddenStates(model)
    if isinstance(model, Causal):
        passed(states, model)
        passed(states, model, 1)
    assert states.take() == {}
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_pass_that_nobody_began_is_left_out() -> None:
    """Evaluation, or a reference model's."""
    model = Causal()
    states = HiddenStates(model)
    right = passed(states, model)
    model(IDS)
    states.end(1, STARTS)
    assert torch.equal(states.take()[0], right)


def test_its_dtype_is_the_models() -> None:
    model = Causal().bfloat16()
    states = HiddenStates(model)
    passed(states, model)
    assert states.take()[0].dtype == torch.bfloat16
