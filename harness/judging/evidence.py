"""Everything the oracle can say about a trace, step by step, before anybody judges it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from adapters.contract import Scenario
from harness.intent.intent import Intent, Rule
from harness.judging import grouping, left_out, reduced_in
from harness.judging.left_out import LeftOut
from harness.judging.recorded_step import NonFinite, RecordedStep, check_states, recorded_steps
from harness.judging.token_weights import TokenWeights, token_weights
from harness.judging.update_rule import UpdateRule, update_rule
from harness.judging.weigher import Weigher
from harness.oracle import architectures, floor, hypotheses, masks, squares
from harness.oracle.floor import Floor
from harness.oracle.hypotheses import Fit, Hypothesis
from harness.oracle.observe import (
    Betas,
    Moments,
    Observed,
    begun_anew,
    betas,
    first_ratio,
    gradient,
    observe,
    second_moment_error,
    summed,
)
from harness.oracle.other_models import OtherModel
from harness.oracle.step import RightStep
from harness.oracle.weighing import weighing
from harness.traces import batch, noise
from harness.traces.batch import Conversation
from harness.traces.reader import IncompleteTrace, Trace
from harness.verdicts import questions
from scenarios import text

__all__ = ["NonFinite", "Received", "Skipped", "StepEvidence", "gather", "right_of", "skipped", "steps_of"]

MAX_MEMORY = 2 * 2**30
"""Bytes. The scenarios take a hundred million; a trace from elsewhere may ask for anything."""


class Received(Protocol):
    """What is known of every step, also of one that was skipped."""

    @property
    def scenario(self) -> Scenario | None: ...
    @property
    def recorded(self) -> RecordedStep: ...
    @property
    def intent(self) -> Intent: ...
    @property
    def conversations(self) -> Sequence[Conversation]: ...
    @property
    def step(self) -> int: ...


@dataclass(frozen=True)
class Skipped:
    """A step that changed nothing where it may: what it received is told, and nothing is weighed."""

    scenario: Scenario
    recorded: RecordedStep
    intent: Intent
    conversations: Sequence[Conversation]

    @property
    def step(self) -> int:
        return self.recorded.number


@dataclass(frozen=True)
class StepEvidence:
    """One optimizer step: what was recorded, what was right, what was recovered, and how well that is known."""

    scenario: Scenario | None
    """What was run; what was wanted is in `right.intent`. None for a run of somebody's own, as it was recorded."""
    recorded: RecordedStep
    right: RightStep
    observed: Observed
    """The gradient that the optimizer consumed, and the weights that explain it."""
    floor: Floor
    fit: Fit
    """The simplest hypothesis of how the tokens were weighed."""
    betas: Betas
    """As the moments of this step follow them."""
    used: Rule
    """The intended rule, with betas as recovered where they are not the intended ones."""
    tokens: TokenWeights
    update: UpdateRule
    other_model: OtherModel | None
    """What was trained instead, where only by that the tokens explain the gradient."""
    left_out: frozenset[str] = frozenset()
    """Tensors that the optimizer left out of the step, as no token touches them (`left_out`)."""
    open: tuple[str, ...] = ()
    """Keys of `harness.verdicts.questions.OPEN`: what could not be asked of this step."""

    @property
    def step(self) -> int:
        return self.right.number

    @property
    def intent(self) -> Intent:
        return self.right.intent

    @property
    def conversations(self) -> Sequence[Conversation]:
        return self.right.conversations

    @property
    def residual(self) -> float:
        return self.observed.residual

    @property
    def explained(self) -> bool:
        """Whether weights of its tokens, by the model that was to be trained, make the whole gradient, and a hypothesis
        makes these weights."""
        explained = self.other_model is None and self.residual <= self.floor.tolerance("residual")
        return explained and self.fit.excess <= 1.0

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
        """Weight decay that a tensor should have."""
        return self.right.intent.weight_decay(tensor)

    def expected_learning_rate(self, tensor: str) -> float:
        """Learning rate that a tensor should have."""
        return self.right.intent.learning_rate(self.right.update, tensor)

    @property
    def scheduled_rate(self) -> float:
        """Learning rate that the schedule has for the step."""
        return self.right.intent.schedule_rate(self.right.update)


def followed_rule(rule: Rule, found: Sequence[Betas], noise: Floor) -> Rule:
    """The betas that the moments really follow: the intended ones, unless the steps agree that they are others."""
    used = rule
    for name, wanted in (("beta1", rule.kept), ("beta2", rule.beta2)):
        told = [(v, floor.beta_allowed(b, name, noise)) for b in found if (v := getattr(b, name)) is not None]
        if not told:
            continue
        middle, allowed = (statistics.median(each) for each in zip(*told, strict=True))
        if abs(middle - wanted) > allowed and -allowed <= middle < 1:
            middle = max(0.0, middle)
            used = used.keeping(middle) if name == "beta1" else replace(used, beta2=middle)
    return used


def _keeping(rule: Rule, intended: Rule, share: float | None, noise: Floor) -> Rule:
    """The same rule with the share of squares that a step kept, where it is not the intended one: in as few digits as
    are within its noise, as somebody has chosen it. What they tell of a small gradient depends on all of them."""
    share, allowed = rule.kept if share is None else share, noise.tolerance("beta1")
    if abs(share - intended.kept) <= allowed:
        return intended
    digits = next((d for d in range(1, 12) if abs(round(share, d) - share) <= allowed), 12)
    return rule.keeping(min(1.0, max(0.0, round(share, digits))))


def _betas(step: RecordedStep, right: RightStep, noise: Floor) -> Betas:
    """As the moments around a step tell them. Those of an optimizer that begins with it do not follow from the moments
    before, as where a run goes on from a checkpoint and forgets them."""
    rule, allowed = right.intent.rule, noise.tolerance("second")
    if rule.holds_squares:
        held = squares.kept(step.states, rule.eps)
        return Betas(held.share if held is not None and held.rest <= squares.FOLLOWS else None, None)
    if rule.name == "sgd":
        return _summed(step, right, noise)
    anew = step.number > 0 and begun_anew(step.moments, rule, allowed)
    return Betas(None, None) if anew else betas(step.moments, allowed)


def _summed(step: RecordedStep, right: RightStep, noise: Floor) -> Betas:
    """As SGD's momentum tells them, beside the noise of the right gradient and of the one that it is by the intent."""
    consumed = right.basis.told_by(gradient(step.moments, right.intent.rule.kept))
    return summed(right.terms, step.moments, noise.residual * max(consumed, right.clip * right.norm))


def _first_betas(right: RightStep, moments: Moments, noise: Floor) -> Betas:
    """The betas of a run of which no step tells them: the first one's moments tell how beta1 and beta2 go together.

    If the intended ones do not go together so, one of them is another one: beta2 if the gradient by the intended beta1
    is right, beta1 if it is right by the beta1 that goes with the intended beta2.
    """
    rule, ratio = right.intent.rule, first_ratio(moments)
    if ratio is None or second_moment_error(moments, rule.beta1, rule.beta2) <= noise.tolerance("second"):
        return Betas(None, None)
    other = 1.0 - ((1.0 - rule.beta2) / ratio) ** 0.5
    for beta1, beta2 in ((rule.beta1, 1.0 - ratio * (1.0 - rule.beta1) ** 2), (other, rule.beta2)):
        seen = observe(right.terms, moments, beta1)
        if hypotheses.compare(weighing(right, noise, seen.terms), Hypothesis(), seen.weights, noise).excess <= 1.0:
            return Betas(beta1, beta2)
    return Betas(None, None)


def _reaching_further(right: RightStep, pad: int) -> Iterator[list[Conversation]]:
    """The conversations with the first token of what is behind each of them, padding or the next row of its sequence,
    as a token that has its gradient.

    What is right does not change, but a loss mask that reaches further can be told then.
    """
    if any(c.padded for c in right.conversations):
        yield [batch.with_padding(c, pad) for c in right.conversations]
    if any(c.behind for c in right.conversations):
        yield [batch.with_next(c) for c in right.conversations]


def _observed(
    plain: RightStep, recorded: RecordedStep, pad: int, beta1: float, noise: Floor, by: Weigher
) -> tuple[RightStep, Observed, OtherModel | None]:
    """The step and its recovered weights; with padding allowed for, or another model, where only that explains the
    gradient."""
    consumed, allowed = gradient(recorded.moments, beta1), noise.tolerance("residual")
    right = by.consuming(plain, consumed)
    observed = observe(right.terms, recorded.moments, beta1)
    if observed.residual <= allowed:
        return right, observed, None
    for further in _reaching_further(right, pad):
        allowing = by.consuming(by.right(right.intent, recorded, further, right.conversations), consumed)
        seen = observe(allowing.terms, recorded.moments, beta1)
        if seen.residual <= allowed:
            return allowing, seen, None
    other = by.other_model(right, recorded, beta1, allowed)
    if other is None:
        return right, observed, None
    weights = other.observed.weights
    return right, replace(observed, weights=weights, rest=observed.gradient - right.basis.gradient(weights)), other


def steps_of(trace: Trace, every: bool = False) -> list[RecordedStep]:
    """Every step that can be weighed; with `every`, those that were skipped as well. Raises as `gather` does."""
    check_states(trace)
    may_skip = trace.scenario.precision.compute == "fp16"
    return [step for step in recorded_steps(trace) if every or not (may_skip and step.still)]


def skipped(trace: Trace, intent: Intent) -> tuple[Skipped, ...]:
    """Every step that was skipped. Raises as `gather` does."""
    if trace.scenario.precision.compute != "fp16":
        return ()
    still = [step for step in steps_of(trace, every=True) if step.still]
    return tuple(Skipped(trace.scenario, step, intent, _conversations(trace, intent, step)) for step in still)


def gather(trace: Trace, intent: Intent, by: Weigher, draws: int = floor.DRAWS) -> tuple[StepEvidence, ...]:
    """Weigh every update of a trace, held against an intent, and measure a floor of so many draws a step.

    Raises IncompleteTrace if tensors or batches that are needed are not there, NonFinite, and UnreadableTrace.
    """
    steps = [step.under(intent) for step in steps_of(trace)]
    if not steps:
        return ()
    rights = [right_of(trace, intent, step, by) for step in steps]
    left = left_out.by_step(steps, rights)
    steps = [own.out_of(step) for own, step in zip(left, steps, strict=True)]
    noise = floor.worst(
        [floor.measure(right, step.before, draws=draws) for right, step in zip(rights, steps, strict=True)]
    )
    found = [_betas(step, right, noise) for step, right in zip(steps, rights, strict=True)]
    if intent.rule.name == "adamw" and all(each.beta1 is None and each.beta2 is None for each in found):
        found = [_first_betas(rights[0], steps[0].moments, noise), *found[1:]]
    noises = [floor.widened(noise, step.states, intent.rule) for step in steps]
    used = followed_rule(intent.rule, found, floor.worst(noises))
    rules = [
        _keeping(used, intent.rule, followed.beta1, own) if used.holds_squares else used
        for followed, own in zip(found, noises, strict=True)
    ]
    steps = [step.told_by(rule) for step, rule in zip(steps, rules, strict=True)]
    if used.holds_squares:
        held = [_summed(step, right, noise) for step, right in zip(steps, rights, strict=True)]
        found = [
            replace(followed, decay=own.decay, decay_error=own.decay_error)
            for followed, own in zip(found, held, strict=True)
        ]
    steps = [_decayed(step, intent, followed, own) for step, followed, own in zip(steps, found, noises, strict=True)]
    return tuple(
        _weighed(trace.scenario, step, right, followed, rule, own, by, out)
        for step, right, followed, rule, own, out in zip(steps, rights, found, rules, noises, left, strict=True)
    )


def _decayed(step: RecordedStep, intent: Intent, found: Betas, noise: Floor) -> RecordedStep:
    """The same step, of whose gradient as much is decay as it holds, if that is not what it should."""
    if found.decay is None or floor.decay_off(found, intent) <= floor.decay_allowed(found, intent, noise):
        return step
    return replace(step, moments=replace(step.moments, decay=found.decay * step.moments.decay))


def right_of(trace: Trace, intent: Intent, step: RecordedStep, by: Weigher) -> RightStep:
    """What the step should have done with the tokens that the model received. Raises IncompleteTrace."""
    received = _conversations(trace, intent, step)
    if not any(c.targets for c in received):
        raise IncompleteTrace(f"no trained token was recorded for step {step.number}")
    if (needed := by.memory([len(c.ids) for c in received])) > MAX_MEMORY:
        raise IncompleteTrace(
            f"the tokens of step {step.number} take {needed / 2**30:.0f} GiB to weigh, and the judge takes at most"
            f" {MAX_MEMORY / 2**30:.0f}"
        )
    right = by.right(intent, step, received)
    if not bool(right.slot_weights.any()):
        raise IncompleteTrace(
            f"no token of step {step.number} has a weight by the intent, so that nothing can be weighed"
        )
    return right


def _conversations(trace: Trace, intent: Intent, step: RecordedStep) -> Sequence[Conversation]:
    """What the model received in a step, with the mask that the intent wants."""
    given = batch.conversations(trace.scenario, [b for b in trace.batches if b.step == step.number])
    name = architectures.embedding(trace.scenario.model.architecture)
    noisy = noise.of_step(trace, step.number, step.before.parameters[name], given)
    return masks.wanted(noisy, intent.trained)


def _weighed(
    scenario: Scenario,
    recorded: RecordedStep,
    plain: RightStep,
    followed: Betas,
    used: Rule,
    noise: Floor,
    by: Weigher,
    left: LeftOut,
) -> StepEvidence:
    """The step with all that is recovered of it."""
    pad = text.SPECIAL.index(text.PAD if scenario.tokenizer.pad_token == "own" else text.EOS)
    right, observed, other = _observed(plain, recorded, pad, used.kept, noise, by)
    weighed = right if other is None else other.right
    terms = observed.terms if other is None else other.observed.terms
    fit = hypotheses.explain(weighed, observed.weights, noise, recorded.reported.grad_norm, terms, in_pieces=True)
    tokens = token_weights(weighed, observed.weights, floor.told(weighed, noise))
    short = () if bool(tokens.told.all()) else (questions.TOKENS,)
    rates = {tensor: right.intent.learning_rate(right.update, tensor) for tensor in recorded.states}
    idle = left.now | left.without_gradient(right, recorded)
    update = update_rule(recorded.states, used, right.update, rates, noise, idle, left.counts)
    out = (questions.LEFT_OUT,) if left.now or update.behind else ()
    return StepEvidence(
        scenario=scenario,
        recorded=recorded,
        right=right,
        observed=observed,
        floor=noise,
        fit=fit,
        betas=followed,
        used=used,
        tokens=tokens,
        update=update,
        other_model=other,
        left_out=left.now,
        open=(*by.open(fit), *short, *out, *_open(scenario, right, recorded, used)),
    )


def _open(scenario: Scenario, right: RightStep, recorded: RecordedStep, used: Rule) -> Iterator[str]:
    """What the numbers and rows of a run do not tell."""
    if reduced_in.asked(right, recorded) and reduced_in.told(recorded, right, used).dtype is None:
        yield questions.REDUCTION
    drawn = right.intent.drawn
    last = right.number == right.intent.steps - 1
    if last and drawn is not None and drawn.grouped and not grouping.told(right.intent, scenario):
        yield questions.GROUPING
