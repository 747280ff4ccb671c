"""The model and the sequences that everything is measured on, and their exact log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from adapters.contract import Scenario, vary
from harness.oracle import forward
from harness.oracle.architectures import FORWARD
from scenarios import catalogue, text, weights

NAME = "mismatch"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_STREAM = 104729
"""Keeps the draws of sequences apart from those of weights and rows."""


class BadSubject(Exception):
    """What cannot be measured; one line."""


@dataclass(frozen=True)
class Exact:
    """Log-probabilities in float64, in nats."""

    chosen: Tensor
    """[rows, length - 1], of every token but the first of its row."""
    every: Tensor
    """[rows, length - 1, vocabulary], of all tokens in its place."""


def own(seed: int) -> Scenario:
    """The model where none is named: a Llama whose heads have 32 dimensions, the fewest that vLLM takes on a CPU, and
    whose weights are large enough for an entropy of 3.6 nats, of the 4.9 that 128 tokens can have."""
    base = catalogue.get("sft-ragged", seed)
    sizes = {"hidden_size": 128, "heads": 4, "kv_heads": 2, "intermediate_size": 256, "layers": 4}
    return replace(vary(base, **sizes, init_std=0.15), name=NAME)


def check(scenario: Scenario, length: int) -> None:
    """Raises BadSubject for a model of which the oracle has no forward pass, or not of all of it or of such rows."""
    model = scenario.model
    if model.architecture not in FORWARD:
        raise BadSubject(f"there is no exact value of {model.architecture}; known are {', '.join(sorted(FORWARD))}")
    if model.lora is not None:
        raise BadSubject(f"{scenario.name} has low-rank updates, which engines load in other ways; take another")
    if length > model.max_positions:
        raise BadSubject(f"{scenario.name} has {model.max_positions} positions: --length can be no more")


def parameters(scenario: Scenario, dtype: torch.dtype = torch.float32) -> forward.Parameters:
    """The checkpoint's, each rounded to a dtype as loading it there does, as float64."""
    initial = weights.initial(scenario.model, scenario.seed)
    return {name: torch.from_numpy(value).to(dtype).double() for name, value in initial.items()}


def sampled(scenario: Scenario, rows: int, length: int) -> Tensor:
    """Rows of ids, int64 [rows, length]: the first token of each evenly from the vocabulary, all others from the exact
    distribution at the checkpoint's parameters. They follow from the scenario's seed."""
    model, values = scenario.model, parameters(scenario)
    draws = text.uniforms(_STREAM + scenario.seed, rows * length).reshape(rows, length)
    found = [[int(row[0] * model.vocab_size)] for row in draws]
    with torch.no_grad():
        for ids, row in zip(found, draws, strict=True):
            for draw in row[1:]:
                ids.append(_drawn(_logits(values, scenario, torch.tensor(ids))[-1], float(draw)))
    return torch.tensor(found)


def exact(scenario: Scenario, ids: Tensor, dtype: torch.dtype) -> Exact:
    """At the parameters rounded to a dtype."""
    values = parameters(scenario, dtype)
    with torch.no_grad():
        every = torch.stack([_logits(values, scenario, row[:-1]) for row in ids]).log_softmax(-1)
    return Exact(every.gather(2, ids[:, 1:, None])[..., 0], every)


def _logits(values: forward.Parameters, scenario: Scenario, ids: Tensor) -> Tensor:
    return forward.logits(values, scenario.model, ids, torch.arange(len(ids)), torch.zeros_like(ids))


def _drawn(scores: Tensor, draw: float) -> int:
    """The token whose part of the line from 0 to 1 a number lies in."""
    sums = np.cumsum(scores.softmax(0).numpy())
    return int(min(np.searchsorted(sums, draw * sums[-1], side="right"), len(sums) - 1))
