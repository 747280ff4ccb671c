"""The score of a training, kept beside what was trained, so that it is evaluated once."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from adapters.contract import TRAINED, Model
from harness import documents
from harness.staircase import evaluator
from harness.staircase.evaluator import Score
from harness.traces import trained
from scenarios import sums

FILE = "score.json"
MAX_BYTES = 4096


class Unscored(Exception):
    """There is no score that can be read; one line."""


class _Scored(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="strings")

    held_out: int
    accuracy: float
    nll: float


def score(trace: Path, model: Model, held_out: int) -> None:
    """Evaluate what was trained, and keep it. Raises UnreadableTrace."""
    predict = evaluator.predicting(trained.parameters(trace, model), model)
    found = evaluator.evaluate(predict, sums.for_evaluation(held_out))
    kept = _Scored(held_out=held_out, accuracy=found.accuracy, nll=found.nll)
    documents.write(kept, trace / TRAINED / FILE)


def read(trace: Path, held_out: int) -> Score:
    """The score on so many problems. Raises Unscored."""
    path = trace / TRAINED / FILE
    kept = documents.read(_Scored, path, MAX_BYTES, Unscored, "run `lockstep staircase` again")
    if kept.held_out != held_out:
        raise Unscored(f"{path} is of {kept.held_out} problems, not of {held_out}; run `lockstep staircase` again")
    return Score(kept.accuracy, kept.nll)
