"""Everything the oracle can say about a trace, step by step, before anybody judges it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters.contract import Optimizer
from harness.judging.recorded_step import NonFinite, RecordedStep, check_states, recorded_steps
from harness.judging.token_weights import TokenWeights, token_weights
from harness.judging.update_rule import UpdateRule, update_rule
from harness.judging.weigher import Weigher
from harness.oracle import floor, hypotheses
from harness.oracle.floor import Floor
from harness.oracle.hypotheses import Fit, Hypothesis
from harness.oracle.observe import (
    Betas,
    Moments,
    Observed,
    betas,
    first_ratio,
    gradient,
    observe,
    second_moment_error,
)
from harness.oracle.step import RightStep
from harness.traces import batch
from harness.traces.reader import IncompleteTrace, Trace
from harness.verdicts import questions
from scenarios import text

__all__ = ["NonFinite", "StepEvidence", "gather"]

MAX_MEMORY = 2 * 2**30
"""Bytes. The scenarios take a hundred million; a trace from elsewhere may ask for anything."""


@dataclass(frozen=True)
class StepEvidence:
    """One optimizer step: what was recorded, what was right, what was recovered, and how well that is known."""

    recorded: RecordedStep
    right: RightStep
    observed: Observed
    """The gradient that the optimizer consumed, and the weights that explain it."""
    floor: Floor
    fit: Fit
    """The simplest hypothesis of how the tokens were weighed."""
    betas: Betas
    """As the moments of this step follow them."""
    used: Optimizer
    """The scenario's optimizer, with betas as recovered where they are not the scenario's."""
    tokens: TokenWeights
    update: UpdateRule
    open: tuple[str, ...] = ()
    """Keys of `harness.verdicts.questions.OPEN`: what could not be asked of this step."""

    @property
    def step(self) -> int:
        return self.right.number

    @property
    def residual(self) -> float:
        return self.observed.residual

    @property
    def condition(self) -> float:
        return self.right.basis.condition

    @property
    def clip_expected(self) -> float:
        return self.right.clip

    @property
    def norm_right(self) -> float:
        """Norm of the right gradient before clipping."""
        return self.right.norm

    @property
    def norm_used(self) -> float:
        """Norm of the gradient that the optimizer consumed."""
        return self.observed.norm

    @property
    def loss_right(self) -> float:
        return self.right.loss

    def expected_decay(self, tensor: str) -> float:
        """Weight decay that a tensor should have: matrices only."""
        matrix = self.recorded.before.parameters[tensor].ndim > 1
        return self.right.scenario.optimizer.weight_decay if matrix else 0.0

    @property
    def expected_learning_rate(self) -> float:
        return self.right.scenario.learning_rate_at(self.step)


def _used(optimizer: Optimizer, found: Sequence[Betas], noise: Floor) -> Optimizer:
    """The betas that the moments really follow: the scenario's, unless the steps agree that they are others."""
    used = optimizer
    for name in ("beta1", "beta2"):
        values = [v for b in found if (v := getattr(b, name)) is not None]
        if not values:
            continue
        middle, wanted = statistics.median(values), getattr(optimizer, name)
        if abs(middle - wanted) > noise.tolerance(name) and 0 <= middle < 1:
            used = replace(used, **{name: middle})
    return used


def _first_betas(right: RightStep, moments: Moments, noise: Floor) -> Betas:
    """The betas of a run of one step, whose moments only tell how beta1 and beta2 go together.

    If the scenario's do not go together so, one of them is another one: beta2 if the gradient by the scenario's beta1
    is right, beta1 if it is right by the beta1 that goes with the scenario's beta2.
    """
    rule, ratio = right.scenario.optimizer, first_ratio(moments)
    if ratio is None or second_moment_error(moments, rule.beta1, rule.beta2) <= noise.tolerance("second"):
        return Betas(None, None)
    other = 1.0 - ((1.0 - rule.beta2) / ratio) ** 0.5
    for beta1, beta2 in ((rule.beta1, 1.0 - ratio * (1.0 - rule.beta1) ** 2), (other, rule.beta2)):
        weights = observe(right.basis, moments, beta1).weights
        if hypotheses.compare(hypotheses.weighing(right, noise), Hypothesis(), weights, noise).excess <= 1.0:
            return Betas(beta1, beta2)
    return Betas(None, None)


def _allowing_padding(right: RightStep, recorded: RecordedStep, by: Weigher) -> RightStep:
    """The same step with the first token of the padding behind each conversation as a token that has its gradient.

    What is right does not change, but a loss mask that reaches into the padding can be told then.
    """
    pad = right.scenario.vocabulary.index(text.PAD)
    conversations = [batch.with_padding(c, pad) for c in right.conversations]
    return by.right(recorded, conversations)


def _observed(
    plain: RightStep, recorded: RecordedStep, beta1: float, noise: Floor, by: Weigher
) -> tuple[RightStep, Observed]:
    """The step and its recovered weights; with padding allowed for where only that explains the gradient."""
    consumed = gradient(recorded.moments, beta1)
    right = by.consuming(plain, consumed)
    observed = observe(right.basis, recorded.moments, beta1)
    if observed.residual > noise.tolerance("residual") and any(c.padded for c in right.conversations):
        allowing = by.consuming(_allowing_padding(right, recorded, by), consumed)
        seen = observe(allowing.basis, recorded.moments, beta1)
        if seen.residual <= noise.tolerance("residual"):
            return allowing, seen
    return right, observed


def gather(trace: Trace, by: Weigher, draws: int = floor.DRAWS) -> tuple[StepEvidence, ...]:
    """Weigh every step of a trace, and measure a floor of so many draws a step.

    Raises IncompleteTrace if tensors or batches that are needed are not there, NonFinite, and UnreadableTrace.
    """
    check_states(trace)
    scenario = trace.scenario
    steps = list(recorded_steps(trace))
    if not steps:
        return ()
    rights = [_right(trace, step, by) for step in steps]
    noise = floor.worst(
        [floor.measure(right, step.before, draws=draws) for right, step in zip(rights, steps, strict=True)]
    )
    found = [betas(step.moments, noise.tolerance("second")) for step in steps]
    if len(steps) == 1:
        found = [_first_betas(rights[0], steps[0].moments, noise)]
    used = _used(scenario.optimizer, found, noise)
    return tuple(
        _weighed(step, right, followed, used, noise, by)
        for step, right, followed in zip(steps, rights, found, strict=True)
    )


def _right(trace: Trace, step: RecordedStep, by: Weigher) -> RightStep:
    """What the step should have done with the tokens that the model received. Raises IncompleteTrace."""
    received = batch.conversations(trace.scenario, [b for b in trace.batches if b.step == step.number])
    if not any(c.targets for c in received):
        raise IncompleteTrace(f"no trained token was recorded for step {step.number}")
    if (needed := by.memory([len(c.ids) for c in received])) > MAX_MEMORY:
        raise IncompleteTrace(
            f"the tokens of step {step.number} take {needed / 2**30:.0f} GiB to weigh, and the judge takes at most"
            f" {MAX_MEMORY / 2**30:.0f}"
        )
    return by.right(step, received)


def _weighed(
    recorded: RecordedStep, plain: RightStep, followed: Betas, used: Optimizer, noise: Floor, by: Weigher
) -> StepEvidence:
    """The step with all that is recovered of it."""
    right, observed = _observed(plain, recorded, used.beta1, noise, by)
    fit = hypotheses.explain(right, observed.weights, noise)
    tokens = token_weights(right, observed.weights, floor.told(right, noise))
    short = () if bool(tokens.told.all()) else (questions.TOKENS,)
    rate = right.scenario.learning_rate_at(right.number)
    return StepEvidence(
        recorded=recorded,
        right=right,
        observed=observed,
        floor=noise,
        fit=fit,
        betas=followed,
        used=used,
        tokens=tokens,
        update=update_rule(recorded.states, used, recorded.number, rate, noise),
        open=(*by.open(fit), *short),
    )
