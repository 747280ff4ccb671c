"""Every fault of the catalogue on every scenario of the catalogue that plain PyTorch can run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import scenarios
from adapters import torch_sft
from adapters.contract import Scenario, vary
from adapters.faults import CATALOGUE, RIGHT
from tests.faults import kinds, proof

RUNNABLE = [name for name in scenarios.CATALOGUE if torch_sft.unsupported(scenarios.get(name), "") is None]

WHOLE = "sft-ragged"
"""Runs with all of its steps; the others make two, since the third is like the second."""
EPOCHS = ("sft-ragged-epochs", "sft-ragged-shuffled", "sft-ragged-resume")
"""And these, which get to a second epoch later, or go on from a checkpoint."""
LATER = ("sft-ragged-packing", "sft-ragged-cosine-epochs", "sft-ragged-paper")
"""As `EPOCHS`; what is seen elsewhere is not planted here."""
UNCUT = (WHOLE, *EPOCHS, *LATER, "sft-ragged-cosine")
"""And where a schedule falls over the run: two steps are another schedule."""
SCALED = "sft-ragged-fp16"
OF_OVERFLOWS = ("overflow-ignored", "overflow-skipped-alone")
FAMILIES = tuple(name for name in RUNNABLE if scenarios.get(name).model.architecture not in ("llama", "mixtral"))
TRAINED = (
    "sft-ragged-smoothed",
    "sft-ragged-lora",
    "sft-ragged-rslora",
    "sft-ragged-dft",
    "sft-ragged-checkpointed",
)
"""Of another loss of a token, of another part of the model, and of layers that are computed again."""
FIRST = (
    WHOLE,
    *EPOCHS,
    "sft-ragged-decay",
    "sft-ragged-decay-all",
    "sft-ragged-groups",
    "sft-ragged-warmup",
    "sft-ragged-cosine",
    "sft-ragged-packed",
    "sft-ragged-moe-aux",
    "sft-ragged-pad-eos",
    "sft-ragged-bos",
    SCALED,
    *TRAINED,
    *FAMILIES,
    *LATER,
)
"""What `make test-fast` plants a fault on is the first of these that shows it, unless it is like another one there."""

ONCE = frozenset((*EPOCHS, *LATER, SCALED, *TRAINED, "sft-ragged-pad-eos", "sft-ragged-bos", "sft-ragged-groups"))
"""Here `make test` plants what is first seen here; `make test-all` plants the rest."""

LIKE_WHOLE = (
    "sft-ragged-noclip",
    "sft-ragged-decay",
    "sft-ragged-decay-all",
    "sft-ragged-groups",
    "sft-ragged-warmup",
    "sft-ragged-cosine",
    "sft-ragged-moe",
    "sft-ragged-moe-aux",
    SCALED,
    *TRAINED,
)
"""The batches of `WHOLE` under other settings of the optimizer, in another model, or nearly as exact."""
ALSO = {
    "sft-ragged-moe-aux": (
        "keep-last",
        "mean-of-micro-batches",
        "scaled-by-accumulation",
        "prompt-trained",
        "no-clipping",
    )
}
"""What is weighed, scaled and clipped beside a term that is no token's."""


def _scenario(name: str, fault: str | None = None) -> Scenario:
    """What overflows runs whole for a clean run and for faults of that; else by a scale under which nothing does, for
    a gradient that is too long overflows longer than there are steps."""
    scenario = scenarios.get(name)
    if name in UNCUT or (name == SCALED and fault in (None, *OF_OVERFLOWS)):
        return scenario
    return vary(scenario, steps=2, **({"loss_scale": 65536.0} if name == SCALED else {}))


def _quick(fault: str) -> str | None:
    """None for one that no named scenario shows (`test_unnamed.py` has one that does)."""
    shown = (name for name in FIRST if CATALOGUE[fault].hidden(_scenario(name, fault)) is None)
    return kinds.APART.get(fault) or next(shown, None)


def _marks(name: str, fault: str) -> list[pytest.MarkDecorator]:
    """Exhaustive is what is seen, or hidden, as on `WHOLE`, and cannot be otherwise; and all of it on families."""
    if name == _quick(fault):
        return []
    if name in FAMILIES:
        return [pytest.mark.slow, pytest.mark.exhaustive]
    if name in ONCE:
        return [pytest.mark.slow, pytest.mark.exhaustive]
    if fault in ALSO.get(name, ()):
        return [pytest.mark.slow]
    why = [CATALOGUE[fault].hidden(_scenario(n, fault)) for n in (WHOLE, name)]
    hidden_alike = why[0] is not None and why[0] == why[1]  # as what is not in either scenario
    alike = hidden_alike or (name in LIKE_WHOLE and (why[0] is None) == (why[1] is None))
    return [pytest.mark.slow, pytest.mark.exhaustive] if alike else [pytest.mark.slow]


def _cases() -> Iterator[object]:
    for name in RUNNABLE:
        for fault in CATALOGUE:
            yield pytest.param(name, fault, marks=_marks(name, fault), id=f"{fault}-on-{name}")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == WHOLE else (pytest.mark.slow,)) for n in RUNNABLE])
def test_a_clean_run_is_clean(name, cache):
    proof.assert_clean(proof.judged(_scenario(name), RIGHT, cache))


@pytest.mark.parametrize(("name", "fault"), list(_cases()))
def test_a_planted_fault_is_named_by_its_kind_or_cannot_be_seen(name, fault, cache):
    scenario, planted = _scenario(name, fault), CATALOGUE[fault]
    judgement = proof.judged(scenario, planted.plan, cache)
    if planted.hidden(scenario) is None:
        proof.assert_named(judgement, planted)
        known = kinds.of(fault, scenario)
        assert not known or {d.kind for d in judgement.diagnoses} <= known, proof.told(judgement)
    else:
        proof.assert_hidden(judgement, planted)
