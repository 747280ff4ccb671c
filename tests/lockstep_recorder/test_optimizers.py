"""What optimizers are given and keep, and which of several tells the steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lockstep_recorder import samples, state
from lockstep_recorder.settings import Settings
from lockstep_recorder.watcher import Watcher

VOCABULARY, WIDTH = 30, 8


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.middle = nn.Linear(WIDTH, WIDTH, bias=False)
        self.last_norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.head(self.last_norm(self.middle(self.embedding(input_ids))))


class Odd(torch.optim.Optimizer):
    """Keeps by the names of Adam's moments what is none."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {})

    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = {"exp_avg": torch.ones_like(p), "exp_avg_sq": torch.ones_like(p)}


class Outer(torch.optim.Optimizer):
    """Has another one step for it."""

    def __init__(self, parameters: Any) -> None:
        each = list(parameters)
        super().__init__(each, {})
        self.inner = torch.optim.AdamW(each)

    def step(self, closure: Any = None) -> None:
        self.inner.step()


Optimizers = Callable[[Model], list[torch.optim.Optimizer]]
WAYS: dict[str, Optimizers] = {
    "one": lambda m: [torch.optim.AdamW(m.parameters())],
    "head first": lambda m: [torch.optim.AdamW(m.head.parameters()), torch.optim.AdamW(rest(m))],
    "head last": lambda m: [torch.optim.Muon(m.middle.parameters()), torch.optim.AdamW(m.head.parameters())],
    "one inside of another": lambda m: [Outer(m.parameters())],
    "no moments": lambda m: [torch.optim.SGD(m.parameters(), lr=0.1)],
}


def rest(model: Model) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p is not model.head.weight]


def trained(optimizers: Optimizers, folder: Path, steps: int = 2) -> list[dict[str, Any]]:
    """The lines of a recording of a small training."""
    torch.manual_seed(0)
    model = Model().train()
    each = optimizers(model)
    watcher = Watcher(Settings(str(folder)))
    watcher.install()
    try:
        for _ in range(steps):
            for optimizer in each:  # each zeroes what it has stepped, as most loops have it
                optimizer.zero_grad()
            model(torch.arange(6)[None]).square().sum().backward()
            for optimizer in each:
                optimizer.step()
                optimizer.zero_grad()
    finally:
        watcher.end()
    return [json.loads(line) for line in (folder / "steps-r00.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("way", WAYS)
def test_a_step_is_counted_once(way: str, tmp_path: Path) -> None:
    lines = trained(WAYS[way], tmp_path)
    assert [(line["step"], line["passes"]) for line in lines] == [(0, 1), (1, 1)]
    assert not any("ended" in line for line in lines)


def test_gradients_of_the_others_are_counted(tmp_path: Path) -> None:
    """All but those that nobody steps: of the embedding and the norm."""
    whole = {way: [line["all_squares"] for line in trained(WAYS[way], tmp_path / way)] for way in ("one", "head first")}
    assert whole == {"one": [True, True], "head first": [True, True]}


def moments(optimizer: torch.optim.Optimizer, parameter: Tensor) -> set[str]:
    parameter.grad = torch.full_like(parameter, 2.0)
    optimizer.step()
    held = state.piece(parameter, optimizer)
    assert held is not None
    return set(held.values)


def test_only_adams_moments_are_means_of_gradients() -> None:
    each = [nn.Parameter(torch.zeros(3)) for _ in range(3)]
    assert moments(torch.optim.AdamW([each[0]]), each[0]) == {"param", "exp_avg", "exp_avg_sq"}
    assert moments(torch.optim.SGD([each[1]]), each[1]) == {"param", "grad"}
    assert moments(Odd([each[2]]), each[2]) == {"param", "grad"}


def test_a_parameter_of_nobody_is_unknown() -> None:
    one, other = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3))
    assert state.piece(one, torch.optim.AdamW([other])) is None


def test_squares_are_of_what_no_moment_tells() -> None:
    one, other, third = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    for p in (one, other):
        p.grad = torch.tensor([3.0, 4.0])
    parameters: list[tuple[str, Tensor]] = [("one", one), ("other", other), ("third", third)]
    found = samples.pieces(parameters, torch.optim.SGD([one], lr=0.1))
    told, whole = samples.given_squares(parameters, found, {id(third): 7.0})
    assert (told.tolist(), whole) == ([25.0, 25.0, 7.0], True)
    told, whole = samples.given_squares(parameters, found, {})
    assert (told.tolist(), whole) == ([25.0, 25.0, 0.0], False)


def test_masters_have_dtypes_of_their_own() -> None:
    weight = nn.Parameter(torch.zeros(3, dtype=torch.bfloat16))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert state.dtypes([state.piece(weight, optimizer)]) == {"masters": ["bfloat16"], "moments": ["bfloat16"]}
