"""Two runs against each other, state by state: how far apart, from which step on, and in which tensors.

Pure functions of tensors; nothing here knows of an oracle, so it says that two runs differ and never which is right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.contract import Compute

State = Mapping[str, Tensor]

FLOAT32_EPS = 2.0**-23
"""How far apart parameters may be before any step: as far as storing them in float32 can move them."""


@dataclass(frozen=True)
class Tolerance:
    """How far apart two runs may be and still count as the same; all relative."""

    gradient: float
    drift: float
    """Of the parameters, over the distance moved. Adam divides by the gradient's own size, so that rounding in a small
    element of the gradient becomes a whole step of its parameter."""
    length: float
    """Of the way moved by then. What rounding does to single steps averages out in it, so it is far sharper."""
    source: str
    carried: float = 0.0
    """Share of the drift before a step by which its gradients may differ as well, for they are of other parameters; 0
    where what is allowed of the gradient was measured with that in it."""


# Measured between implementations that the oracle finds right: the newest release of each of the eight frameworks over
# three steps of every scenario that two of them can run, and more of DeepSpeed's and seeds in bfloat16. The drift in
# float32 is of single elements whose gradient is near Adam's eps: there rounding becomes a part of a step.
TOLERANCES: Mapping[Compute, Tolerance] = {
    "fp32": Tolerance(
        1e-5,
        2e-4,
        1e-5,
        "right float32 runs of two frameworks differ by up to 1.7e-6 of the gradient and 4.9e-5 of the way, whose"
        " length differs by 1.6e-7; x 6, x 4 and x 60",
    ),
    "bf16": Tolerance(
        0.15,
        0.7,
        5e-3,
        "right bfloat16 runs of two frameworks differ by up to 7e-2 of the gradient and 0.33 of the way, whose length"
        " differs by 6e-4; x 2 and, for the length, x 8",
    ),
    "fp16": Tolerance(
        1e-2,
        0.12,
        7e-4,
        "right float16 runs of two frameworks differ by up to 4.3e-3 of the gradient and 0.05 of the way, whose length"
        " differs by 8.8e-5; x 2 and, for the length, x 8",
    ),
}


class NotComparable(Exception):
    """The two runs have no tensors in common; the message says which models they are of."""


@dataclass(frozen=True)
class TensorGap:
    """One tensor in both runs."""

    name: str
    distance: float
    """L2 norm of the difference."""
    relative: float
    """The distance over the larger of the two norms; infinite if a number is not finite."""


@dataclass(frozen=True)
class Gap:
    """How far two states are apart, all their tensors taken as one vector."""

    distance: float
    """L2 norm of the difference."""
    first: float
    """L2 norm in the first run."""
    second: float
    """L2 norm in the second run."""
    cosine: float
    """Of the angle between them; 1 where both are zero."""
    tensors: tuple[TensorGap, ...]
    """Most different first."""

    @property
    def ratio(self) -> float:
        """Norm in the second run over the norm in the first."""
        if self.first == 0.0:
            return 1.0 if self.second == 0.0 else math.inf
        return self.second / self.first

    @property
    def relative(self) -> float:
        """The distance over the larger of the two norms."""
        return _relative(self.distance, self.first, self.second)


@dataclass(frozen=True)
class Snapshot:
    """One run after some optimizer step, by parameter name."""

    parameters: State
    moments: State
    """Adam's first moments; empty where none were recorded."""


@dataclass(frozen=True)
class StepGap:
    """What one optimizer step did in both runs."""

    step: int
    gradient: Gap | None
    """Of the gradients that the optimizers consumed; None where a run has no moments."""
    parameters: Gap
    """Of the parameters after the step."""
    added: Gap
    """Of what was added to them since the start."""
    before: float = 0.0
    """The drift before the step."""

    @property
    def moved(self) -> float:
        """How far the parameters had come from their start by then, in the run where they came farther."""
        return max(self.added.first, self.added.second)

    @property
    def drift(self) -> float:
        """Distance of what was added over the distance moved."""
        return self.added.relative

    @property
    def gradient_distance(self) -> float:
        """Relative; 0 where a run has no moments."""
        return self.gradient.relative if self.gradient else 0.0

    def within(self, tolerance: Tolerance) -> bool:
        return (
            self.drift <= tolerance.drift
            and self.gradient_distance <= tolerance.gradient + tolerance.carried * self.before
            and abs(self.added.ratio - 1.0) <= tolerance.length
        )


@dataclass(frozen=True)
class Comparison:
    """Two runs, step by step."""

    start: Gap
    """Of the parameters before the first step."""
    steps: tuple[StepGap, ...]
    lonely: tuple[str, ...]
    """Tensors that only one of the runs has, or that have another shape in each."""
    tolerance: Tolerance
    lengths: tuple[int, int]
    """Optimizer steps of each run."""

    @property
    def parted(self) -> int | None:
        """The first step that differs by more than the tolerance; -1 if the start does."""
        return -1 if not self.start.relative <= FLOAT32_EPS else self.diverged

    @property
    def diverged(self) -> int | None:
        """The first step whose gradient, or what it had added by then, differs by more than the tolerance, or that only
        one run has; wherever the runs started."""
        apart = next((s.step for s in self.steps if not s.within(self.tolerance)), None)
        return min(self.lengths) if apart is None and self.lengths[0] != self.lengths[1] else apart

    @property
    def ends_early(self) -> bool:
        """Whether they part at a step that only one run has: nothing of it can be compared."""
        return self.parted is not None and self.parted >= len(self.steps)

    @property
    def same(self) -> bool:
        return self.parted is None and not self.lonely


def _relative(distance: float, first: float, second: float) -> float:
    if not math.isfinite(distance):
        return math.inf
    scale = max(first, second)
    if scale == 0.0:
        return 0.0 if distance == 0.0 else math.inf
    return distance / scale


def _norm(values: Sequence[float]) -> float:
    return math.sqrt(math.fsum(v * v for v in values))


def shared(a: State, b: State) -> list[str]:
    """Names that both states have in the same shape."""
    return sorted(name for name in a.keys() & b.keys() if a[name].shape == b[name].shape)


def gap(a: State, b: State) -> Gap:
    """Distance and angle of two states over the tensors they share, in float64."""
    gaps, firsts, seconds, dots = [], [], [], []
    for name in shared(a, b):
        x, y = a[name].double().flatten(), b[name].double().flatten()
        distance, first, second = (float(torch.linalg.vector_norm(v)) for v in (x - y, x, y))
        gaps.append(TensorGap(name, distance, _relative(distance, first, second)))
        firsts.append(first)
        seconds.append(second)
        dots.append(float(x @ y))
    first, second = _norm(firsts), _norm(seconds)
    cosine = math.fsum(dots) / (first * second) if first * second else float(first == second)
    ordered = tuple(sorted(gaps, key=lambda g: (-g.relative, g.name)))
    return Gap(_norm([g.distance for g in gaps]), first, second, cosine, ordered)


def gradient(moment: State, previous: State, beta1: float) -> dict[str, Tensor]:
    """The gradient that Adam consumed between two first moments: (m_t - beta1 m_{t-1}) / (1 - beta1), in float64.

    A tensor without a previous moment had none yet: zero.
    """
    return {
        name: (m.double() - beta1 * (previous[name].double() if name in previous else 0.0)) / (1.0 - beta1)
        for name, m in moment.items()
    }


def _added(start: State, now: State) -> dict[str, Tensor]:
    return {name: now[name].double() - start[name].double() for name in shared(start, now)}


def _step(number: int, a: Sequence[Snapshot], b: Sequence[Snapshot], beta1: float, before: float) -> StepGap:
    (a_first, a_before, a_now), (b_first, b_before, b_now) = a, b
    gradients = None
    if a_now.moments and b_now.moments:
        gradients = gap(
            gradient(a_now.moments, a_before.moments, beta1), gradient(b_now.moments, b_before.moments, beta1)
        )
    added = gap(_added(a_first.parameters, a_now.parameters), _added(b_first.parameters, b_now.parameters))
    return StepGap(number, gradients, gap(a_now.parameters, b_now.parameters), added, before)


def compare(a: Sequence[Snapshot], b: Sequence[Snapshot], beta1: float, tolerance: Tolerance) -> Comparison:
    """Compare two runs over the steps that both have; the first snapshot of each is before any step.

    Raises NotComparable if they share no tensor.
    """
    start_a, start_b = a[0].parameters, b[0].parameters
    if not shared(start_a, start_b):
        raise NotComparable(f"no tensor is in both runs ({len(start_a)} in the first, {len(start_b)} in the second)")
    lonely = sorted((start_a.keys() | start_b.keys()) - set(shared(start_a, start_b)))
    steps: list[StepGap] = []
    for k in range(1, min(len(a), len(b))):
        before = steps[-1].drift if steps else 0.0
        steps.append(_step(k - 1, (a[0], a[k - 1], a[k]), (b[0], b[k - 1], b[k]), beta1, before))
    return Comparison(gap(start_a, start_b), tuple(steps), tuple(lonely), tolerance, (len(a) - 1, len(b) - 1))
