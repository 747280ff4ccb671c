"""From what the environments answered to `mismatch.json`. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from adapters.contract import CHOSEN, EVERY
from harness.mismatch import metrics
from harness.mismatch.record import Differences, Nearer, PairRecord, RoundingRecord, RunRecord, TokenRecord
from harness.mismatch.sources import Way
from harness.mismatch.subject import Exact

BINS = 8
WORST = 3
FARTHER = 2.0
"""How many times as far from the exact value one of a pair is than the other, to be called so."""
FLOAT32 = "float32"


@dataclass(frozen=True)
class Run:
    """A way in a dtype, and what it told."""

    way: Way
    framework: str
    version: str | None
    dtype: str
    tensors: Mapping[str, Tensor] | None
    reason: str | None = None

    @property
    def chosen(self) -> Tensor | None:
        return None if self.tensors is None else self.tensors[CHOSEN]

    @property
    def every(self) -> Tensor | None:
        return None if self.tensors is None else self.tensors.get(EVERY)


def roundings(exact: Mapping[str, Exact]) -> list[RoundingRecord]:
    """exact: by dtype, at the parameters rounded to it; float32 is among them."""
    base = exact[FLOAT32]
    return [
        RoundingRecord(dtype=dtype, from_float32=_differences(at.chosen, at.every, base))
        for dtype, at in exact.items()
        if dtype != FLOAT32
    ]


def run(one: Run, exact: Mapping[str, Exact]) -> RunRecord:
    record = RunRecord(
        way=one.way.name,
        role=one.way.role,
        told=one.way.told,
        framework=one.framework,
        version=one.version,
        dtype=one.dtype,
        state="unknown",
        reason=one.reason,
    )
    if one.chosen is None:
        return record
    own = exact[FLOAT32 if one.way.masters else one.dtype]
    apart = one.chosen - own.chosen
    return record.model_copy(
        update={
            "state": "measured",
            "arithmetic": _differences(one.chosen, one.every, own),
            "whole": _differences(one.chosen, one.every, exact[FLOAT32]),
            "growth": binned(apart.abs()),
            "worst": _worst(one.chosen, own.chosen),
        }
    )


def pairs(runs: Iterable[Run], exact: Mapping[str, Exact]) -> list[PairRecord]:
    """Each trainer against each engine in its dtype, and trainers in float32 against all."""
    known = [one for one in runs if one.chosen is not None]
    trainers = [one for one in known if one.way.role == "trainer"]
    engines = [one for one in known if one.way.role == "engine"]
    return [
        _pair(trainer, engine, exact[FLOAT32])
        for trainer in trainers
        for engine in engines
        if trainer.dtype in (engine.dtype, FLOAT32)
    ]


def _pair(trainer: Run, engine: Run, base: Exact) -> PairRecord:
    assert trainer.chosen is not None
    assert engine.chosen is not None
    return PairRecord(
        trainer=trainer.way.name,
        trainer_dtype=trainer.dtype,
        engine=engine.way.name,
        engine_dtype=engine.dtype,
        metrics=metrics.every(trainer.chosen, engine.chosen),
        kl=None if engine.every is None or trainer.every is None else metrics.divergence(engine.every, trainer.every),
        growth=binned((trainer.chosen - engine.chosen).abs()),
        nearer=_nearer(_mean_abs(trainer.chosen, base), _mean_abs(engine.chosen, base)),
    )


def _mean_abs(chosen: Tensor, base: Exact) -> float:
    return float((chosen - base.chosen).abs().mean())


def _nearer(trainer: float, engine: float) -> Nearer:
    if trainer > FARTHER * engine:
        return "engine"
    return "trainer" if engine > FARTHER * trainer else "alike"


def _differences(chosen: Tensor, every: Tensor | None, exact: Exact) -> Differences:
    apart = chosen - exact.chosen
    return Differences(
        mean_abs=float(apart.abs().mean()),
        max_abs=float(apart.abs().max()),
        bias=float(apart.mean()),
        kl=None if every is None else metrics.divergence(exact.every, every),
    )


def binned(values: Tensor) -> list[float]:
    """Means of [rows, length] over rows and BINS parts of the length, as equal as can be; fewer for short rows."""
    return [float(part.mean()) for part in values.tensor_split(min(BINS, values.shape[1]), dim=1)]


def _worst(chosen: Tensor, exact: Tensor) -> list[TokenRecord]:
    length = chosen.shape[1]
    found: Sequence[int] = (chosen - exact).abs().flatten().topk(min(WORST, chosen.numel())).indices.tolist()
    return [
        TokenRecord(
            row=at // length,
            place=at % length + 1,
            exact=float(exact.flatten()[at]),
            found=float(chosen.flatten()[at]),
        )
        for at in found
    ]
