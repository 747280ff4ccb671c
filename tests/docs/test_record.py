"""docs/record.md: the Python that it shows is run as it stands, or, where it needs what is not here, every name in it
is one that there is, and takes what it is given."""

from __future__ import annotations

import ast
import builtins
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from markdown_it import MarkdownIt
from torch import nn

from harness.recordings import metrics, reader
from lockstep_recorder.pytest_plugin import Lockstep
from tests.harness.recordings import loops

PAGE = (Path(__file__).parents[2] / "docs" / "record.md").read_text()
BLOCKS = [token.content for token in MarkdownIt("commonmark").parse(PAGE) if token.info == "python"]
CODE, CALLBACK, TEST = BLOCKS
GIVEN = {"Trainer", "model", "args", "data"}
"""Names of the reader's own in what is not run."""


class Trainer:
    """A training that is right, of one step."""

    def __init__(self) -> None:
        self.model: nn.Module = loops.llama()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)

    def train(self) -> None:
        window = loops.batches(torch.Generator().manual_seed(1))
        for one in window:
            loops.token_mean(self.model, one, sum(each.trained for each in window)).backward()
        self.optimizer.step()


def test_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = Trainer()
    exec(CODE, {"model": trainer.model, "optimizer": trainer.optimizer, "train": trainer.train})
    assert list(reader.read(tmp_path / "DIR").steps) == [0]


def test_the_test(tmp_path: Path) -> None:
    trained: list[Trainer] = []

    def made() -> tuple[nn.Module, torch.optim.Optimizer, Trainer]:
        trained.append(Trainer())
        return trained[-1].model, trained[-1].optimizer, trained[-1]

    given: dict[str, Any] = {"made": made}
    exec(TEST, given)
    test: Callable[[Lockstep], None] = given["test_every_token_weighs_the_same"]
    test(Lockstep(tmp_path))
    assert len(trained) == 1
    assert (tmp_path / "lockstep-0" / "end.json").exists()


def test_the_callback() -> None:
    """`tests/frameworks/test_callback.py` runs it in a Trainer."""
    tree, found = ast.parse(CALLBACK), {}
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    exec(compile(ast.Module(list(imports), []), "record.md", "exec"), found)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    stored = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    assert {node.id for node in names} <= {*found, *stored, *GIVEN, *vars(builtins)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    ours = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in found]
    for call in ours:
        assert isinstance(call.func, ast.Name)
        inspect.signature(found[call.func.id]).bind(**{str(word.arg): None for word in call.keywords})
    assert ours


def test_every_number_that_is_logged_is_told(tmp_path: Path) -> None:
    loops.record(tmp_path, lambda: loops.train(loops.llama(), clip=0.5))
    told = [name for name in metrics.of_step(tmp_path, 1) if f"`lockstep/{name}`" in PAGE]
    assert sorted(told) == sorted(metrics.of_step(tmp_path, 1))
    assert PAGE.count("| `lockstep/") == len(told) == 7
