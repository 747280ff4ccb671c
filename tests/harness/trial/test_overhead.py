"""What being recorded costs is measured on a training that is recorded."""

from __future__ import annotations

from pathlib import Path

import torch

from harness.recordings import reader, telling
from harness.trial.model import Decoder, Size, window
from harness.trial.overhead import HUNDRED_MILLION, measure
from tests.harness.recordings import loops

SMALL = Size(width=64, layers=1, vocabulary=300, head=16)


def test_every_kind_of_step_is_timed() -> None:
    spent = measure(SMALL, tokens=40, runs=2)
    assert [len(each) for each in (spent.alone, spent.watched, spent.unwatched)] == [2, 2, 2]
    assert all(each > 0.0 for each in (*spent.alone, *spent.watched, *spent.unwatched))


def test_the_model_is_as_large_as_it_is_called() -> None:
    assert HUNDRED_MILLION.parameters > 100e6
    named = sum(p.numel() for p in Decoder(SMALL).parameters())
    assert abs(named / SMALL.parameters - 1.0) < 0.05


def test_its_training_can_be_told(tmp_path: Path) -> None:
    def train() -> None:
        model = Decoder(SMALL).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for step in range(3):
            micro_batches = window(SMALL, 2, 30, step)
            for ids, labels in micro_batches:
                (model(ids, labels) / 48).backward()
            optimizer.step()
            optimizer.zero_grad()

    loops.record(tmp_path, train)
    told = telling.tell(reader.read(tmp_path))
    assert told.sentences[0].startswith("steps 0, 1, 2: every trained token of 2 micro-batches on 1 rank weighs 1/48")
    assert not told.findings
    assert not told.unknown
