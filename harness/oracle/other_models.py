"""Models that a framework may train in the place of the scenario's: what a family has and code for it may leave out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from adapters.contract import Model
from harness.oracle.basis import Segment
from harness.oracle.basis_cache import Bases
from harness.oracle.forward import Parameters
from harness.oracle.observe import Moments, Observed, observe
from harness.oracle.step import RightStep, as_computed


@dataclass(frozen=True)
class OtherModel:
    """A model by which the batch's tokens explain a gradient that they do not explain by the scenario's."""

    left_out: str
    """What it has no soft cap on, such as `scores`."""
    right: RightStep
    """What the step should have done with such a model."""
    observed: Observed
    """The gradient that the optimizer consumed, and the weights that explain it with such a model."""


LACKING: Mapping[str, Callable[[Model], Model]] = {
    "scores": lambda model: replace(model, attention_softcap=None),
    "logits": lambda model: replace(model, final_softcap=None),
    "scores and logits": lambda model: replace(model, attention_softcap=None, final_softcap=None),
}
"""A model without the soft cap that the name says, which is the model itself where it has none."""


def explaining(
    right: RightStep, moments: Moments, beta1: float, before: Parameters, allowed: float, bases: Bases
) -> OtherModel | None:
    """The first other model by which the tokens leave no more than `allowed` of what a step consumed."""
    segments = [Segment(c.ids) for c in right.conversations]
    seen = as_computed(before, right.intent.precision)
    for left_out, lacking in LACKING.items():
        model = lacking(right.model)
        if model == right.model:
            continue
        basis = bases.build(seen, model, segments)
        terms = replace(right.terms, basis=basis)
        observed = observe(terms, moments, beta1)
        if observed.residual <= allowed:
            return OtherModel(left_out, replace(right, basis=basis, terms=terms), observed)
    return None
