"""Trainings of a model that torch.compile has made one thing of: their numbers stay what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.recordings import reader, telling
from tests.harness.recordings import loops

BACKEND = "aot_eager"
RIGHT = (
    "steps 0, 1, 2: every trained token of 4 micro-batches on 1 rank weighs 1/110: a mean over the tokens of the window"
)


@pytest.fixture(autouse=True)
def _nothing_compiled_stays() -> Iterator[None]:
    yield
    torch._dynamo.reset()


def whole(model: nn.Module) -> Any:
    return torch.compile(model, backend=BACKEND, fullgraph=True)


def in_place(model: nn.Module) -> nn.Module:
    model.compile(backend=BACKEND)
    return model


def base_alone(model: Any) -> nn.Module:
    model.model = torch.compile(model.model, backend=BACKEND)
    return model


def layers(model: Any) -> nn.Module:
    for layer in model.model.layers:
        layer.compile(backend=BACKEND)
    return model


def inside_another(model: nn.Module) -> nn.Module:
    """As DDP has a model inside of it."""

    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = in_place(model)

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return self.module(*args, **kwargs)

    return Wrapper().train()


@pytest.mark.slow
@pytest.mark.parametrize(
    "compile_",
    [whole, *(pytest.param(how, marks=pytest.mark.exhaustive) for how in (base_alone, layers, inside_another))],
)
def test_what_is_compiled_is_weighed_and_stays_what_it_is(
    tmp_path: Path, compile_: Callable[[nn.Module], nn.Module]
) -> None:
    watched, alone = loops.llama(), loops.llama()
    loops.record(tmp_path, lambda: loops.train(compile_(watched)))
    torch._dynamo.reset()
    loops.train(compile_(alone))
    for mine, theirs in zip(watched.parameters(), alone.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    found = telling.tell(reader.read(tmp_path))
    assert not found.unknown
    assert found.sentences[0].startswith(RIGHT)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_what_is_compiled_in_place_is_unknown(tmp_path: Path) -> None:
    loops.record(tmp_path, lambda: loops.train(in_place(loops.llama())))
    found = telling.tell(reader.read(tmp_path))
    assert len(found.unknown) == 3
    assert all("the model is compiled in place" in why for why in found.unknown)
    assert [group.rate for group in found.groups] == pytest.approx([1e-3] * 3, rel=1e-4)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_dropout_would_be_drawn_otherwise(tmp_path: Path) -> None:
    model: Any = loops.llama()
    model.config.attention_dropout = 0.1
    loops.record(tmp_path, lambda: loops.train(whole(model)))
    found = telling.tell(reader.read(tmp_path))
    assert len(found.unknown) == 3
    assert all("its dropout would be drawn otherwise" in why for why in found.unknown)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_buffers_that_a_pass_changes_are_put_back(tmp_path: Path) -> None:
    """As counters of a router have them."""

    def counting() -> Any:
        model: Any = loops.llama()
        model.model.norm.register_buffer("seen", torch.zeros(()))
        model.model.norm.register_forward_pre_hook(lambda module, _: module.seen.add_(1.0) and None)
        return model

    watched, alone = counting(), counting()
    loops.record(tmp_path, lambda: loops.train(torch.compile(watched, backend=BACKEND)))
    torch._dynamo.reset()
    loops.train(torch.compile(alone, backend=BACKEND))
    assert float(watched.model.norm.seen) == float(alone.model.norm.seen) > 0
