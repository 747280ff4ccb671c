"""How what the oracle does grows: with the tokens of a step, with parameters, with a head's vocabulary and width."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from adapters.contract import Scenario, vary
from harness.bench.cells import Cells, Launcher
from harness.bench.metric import Metric, one_thread, progress, ratio, seconds, timed
from harness.environments.environment import Environment
from harness.judging.judge import judge
from harness.oracle import full_basis, local_basis
from harness.oracle.basis import Segment
from harness.oracle.basis_cache import BasisCache
from harness.trial.model import Size as ModelSize
from harness.trial.overhead import HUNDRED_MILLION
from harness.trial.overhead import measure as measure_overhead
from scenarios import text, weights


def judging(trace: Path, runs: int) -> Metric:
    """From the trace of a whole cell to its verdict, no basis known before."""
    progress(f"judging a cell, {runs} times")
    return seconds([timed(lambda: judge(trace, BasisCache())) for _ in range(runs)], "judge")


def oracle(scenario: Scenario, runs: int) -> Metric:
    """One step of 8 conversations on one core: the gradient of every token, and the weights of one gradient."""
    rows = [text.render(row, scenario.tokenizer.vocabulary).ids for row in scenario.data.rows[: scenario.rows_per_step]]
    progress(f"the oracle on {sum(map(len, rows))} tokens, {runs} times")
    parameters = {n: torch.from_numpy(a) for n, a in weights.initial(scenario.model, scenario.seed).items()}

    def once() -> None:
        built = full_basis.build(parameters, scenario.model, [Segment(tuple(ids)) for ids in rows])
        built.solve(built.matrix.sum(0))

    with one_thread():
        return seconds([timed(once) for _ in range(runs)], "oracle")


def grown(base: Scenario) -> list[Scenario]:
    """One step of it, with one, two and three times as many rows, and with wider models."""
    once = vary(base, steps=1)
    rows = [vary(once, accumulation=times * once.window.accumulation) for times in (1, 2, 3)]
    widths = [
        vary(once, hidden_size=times * once.model.hidden_size, intermediate_size=times * once.model.intermediate_size)
        for times in (2, 4, 8)
    ]
    return [*rows, *widths]


def judging_grown(
    base: Scenario, environment: Environment, warm: Launcher, folder: Path, runs: int
) -> dict[str, Metric]:
    """From a trace to its verdict, by tokens of the step and parameters of the model."""
    found = {}
    for number, scenario in enumerate(grown(base)):
        rows = scenario.data.rows[: scenario.rows_per_step]
        size = f"{sum(map(scenario.tokens, rows))},{weights.count(scenario.model)}"
        own = folder / f"grown-{number}"
        own.mkdir()
        trace = Cells(environment, scenario, own).run(warm)
        found[f"judge_seconds.{size}"] = judging(trace, runs)
    return found


@dataclass(frozen=True)
class Size:
    """Of a head and of what it is trained on."""

    tokens: int = 1024
    vocabulary: int = 16_000
    hidden: int = 512

    @property
    def label(self) -> str:
        return f"{self.tokens},{self.vocabulary},{self.hidden}"

    @staticmethod
    def parse(label: str) -> Size:
        """Raises ValueError."""
        tokens, vocabulary, hidden = map(int, label.split(","))
        return Size(tokens, vocabulary, hidden)


SIZES = (
    Size(),
    Size(tokens=2048),
    Size(tokens=4096),
    Size(vocabulary=32_000),
    Size(vocabulary=64_000),
    Size(hidden=1024),
    Size(hidden=2048),
)
"""One of the three grows at a time."""


@dataclass(frozen=True)
class Trained:
    """A model, and tokens of a step of it."""

    tokens: int = 512
    model: ModelSize = HUNDRED_MILLION

    @property
    def label(self) -> str:
        return f"{self.tokens},{self.model.vocabulary}"

    @staticmethod
    def parse(label: str) -> Trained:
        """Raises ValueError."""
        tokens, vocabulary, width, layers = map(int, label.split(","))
        return Trained(tokens, ModelSize(width, layers, vocabulary))


RECORDED = (
    Trained(),
    Trained(1024),
    Trained(2048),
    Trained(model=replace(HUNDRED_MILLION, vocabulary=64_000)),
    Trained(model=replace(HUNDRED_MILLION, vocabulary=128_000)),
)
"""One of tokens and vocabulary grows at a time."""

ROWS = 4096
"""Rows of the head that are asked."""


def local_weights(size: Size) -> tuple[float, float]:
    """Seconds that the weights of one float32 gradient of a random head take, and the largest error of weight x T."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(size.tokens, size.hidden, generator=generator)
    head = (torch.randn(size.vocabulary, size.hidden, generator=generator) / size.hidden**0.5).requires_grad_()
    gradient = torch.zeros_like(head)
    targets = torch.randint(size.vocabulary, (size.tokens,), generator=generator)
    for part in torch.split(torch.arange(size.tokens), 256):
        loss = torch.nn.functional.cross_entropy(hidden[part] @ head.T, targets[part], reduction="sum")
        gradient += torch.autograd.grad(loss / size.tokens, head)[0]
    begun = time.perf_counter()
    rows = local_basis.telling_rows(targets, size.vocabulary, ROWS)
    basis = local_basis.build([local_basis.head(hidden, head.detach(), targets, rows)])
    weights = basis.solve([gradient[rows].double()]).weights
    return time.perf_counter() - begun, float((weights * size.tokens - 1).abs().max())


def local(size: Size, runs: int) -> dict[str, Metric]:
    """The position-local basis on a head of that size."""
    progress(f"the weights of a head's tokens, {size.label}, {runs} times")
    found = [local_weights(size) for _ in range(runs)]
    error = Metric(max(e for _, e in found), "largest error", runs, {})
    return {
        f"local_basis_seconds.{size.label}": seconds([s for s, _ in found], "local"),
        f"local_basis_error.{size.label}": error,
    }


def overhead(trained: Trained, runs: int) -> dict[str, Metric]:
    """What being recorded costs a training of one process: in a watched step, and in one that is not watched."""
    millions = f"{trained.model.parameters / 1e6:.0f} M"
    progress(f"a training of {millions} parameters, recorded and not, {trained.label}, {runs} times")
    spent = measure_overhead(trained.model, trained.tokens, runs)
    return {
        f"record_overhead_watched.{trained.label}": ratio(spent.watched, spent.alone, ("watched", "alone")),
        f"record_overhead_unwatched.{trained.label}": ratio(spent.unwatched, spent.alone, ("unwatched", "alone")),
    }
