"""A recording held against what its steps should have been, by the checks of traces: those that it has the data for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import torch

from adapters.contract import Scenario
from harness.intent.file import BadIntent
from harness.intent.intent import Given, Group, Intent, Rule, TokenLoss
from harness.intent.objective import OBJECTIVES
from harness.intent.of_scenario import of_scenario
from harness.judging.checks import update, weights
from harness.judging.diagnosis import update as of_updates
from harness.judging.diagnosis import weights as of_weights
from harness.judging.evidence import StepEvidence, followed_rule
from harness.judging.recorded_step import RecordedStep
from harness.judging.token_weights import token_weights
from harness.judging.update_rule import UpdateRule, update_rule
from harness.judging.weigher import is_multiple_of_right
from harness.oracle import floor, hypotheses, masks
from harness.oracle.floor import Floor, State
from harness.oracle.hypotheses import Hypothesis
from harness.oracle.observe import Betas, Moments, Observed, betas
from harness.oracle.step import RightStep
from harness.oracle.update import TensorState, TensorUpdate
from harness.recordings import effective, weighing
from harness.recordings.facts import heavy
from harness.recordings.reader import Recording
from harness.recordings.weighing import UNEXPLAINED, WeighedStep
from harness.traces.text_files import Reported
from harness.verdicts import questions
from harness.verdicts.findings import Diagnosis, Finding

FINE = 1e-4
"""Share of the head's gradient that float32 may leave unexplained: 1e-7 to 1e-5. Coarser dtypes leave 1e-3 and more."""
ROUNDING = 0.01
"""And what bfloat16 may: up to 6e-3."""
FLOORS = {"beta1": 2e-4, "beta2": 2e-4, "second": 2e-4, "learning_rate": 1e-3, "decay": 1e-3, "update": 1e-4}
"""What rounding to float32 makes of the sampled entries, 64 of a tensor at most."""
CHECKS: tuple[Callable[[StepEvidence], Sequence[Finding]], ...] = (
    weights.token_weights, update.learning_rate, update.weight_decay, update.moments,
)  # fmt: skip
COARSE = frozenset({"bfloat16", "float16"})


@dataclass(frozen=True)
class Held:
    """What comes of it."""

    findings: tuple[Finding, ...]
    diagnoses: tuple[Diagnosis, ...]
    open: tuple[str, ...]
    """What the intent says, and a recording cannot tell."""
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True)
class Way:
    """How the tokens of a step weigh, beside what is intended."""

    step: int
    hypothesis: Hypothesis | None
    """None where nothing that is known explains their weights, or they do not explain the gradient."""
    trained: int
    """Tokens that weigh something."""
    labels: bool
    """Whether labels told which tokens are to be trained."""


def like(scenario: Scenario, recording: Recording) -> Intent:
    """What a scenario wants, of the recorded model: decay on its matrices alone. Raises BadIntent."""
    wanted, parameters = of_scenario(scenario), recording.header.parameters
    matrices = tuple(p.name for p in parameters if len(p.shape) > 1)
    others = tuple(p.name for p in parameters if len(p.shape) <= 1)
    try:
        groups = (Group(matrices, scenario.optimizer.weight_decay), Group(others, 0.0))
    except ValueError:
        raise BadIntent(
            "the recording has parameters that no intent can name: more than 10000, or longer names"
        ) from None
    return replace(wanted, rule=replace(wanted.rule, groups=groups))


def misfit(intent: Intent, recording: Recording) -> str | None:
    """Why a recording cannot be held against an intent; None if it can.

    A recording may be of any steps: those beyond the intent's go by its schedule, which goes on.
    """
    if intent.ranks != recording.header.ranks:
        return f"the intent is of {intent.ranks} ranks, and {recording.header.ranks} ran"
    if intent.token_loss != TokenLoss():
        return (
            "the intent smooths labels, or weighs losses by the target's probability, and a recording has the gradients"
            " of plain losses"
        )
    if isinstance(intent.aggregation, (Given, *OBJECTIVES)):
        return "the intent speaks of rows of a scenario, and a recording does not say which rows it has"
    for number, parts in recording.steps.items():
        if (effective.count(parts, number) - 1) - number > 1:
            before = effective.count(parts, number) - 1 - number
            return f"Adam had counted {before} steps before the run began, and an intent is of a run from its start"
    for parameter in recording.header.parameters:
        if not any(group.holds(parameter.name) for group in intent.rule.groups):
            return f"no group of the intent holds the tensor {parameter.name}"
    return None


def hold(recording: Recording, steps: Sequence[WeighedStep], intent: Intent) -> Held:
    """Every weighed step, held against an intent that fits (`misfit`)."""
    if not steps:
        return Held((), (), ())
    found = [_followed(recording, step) for step in steps]
    used = followed_rule(intent.rule, found, _floor(steps[0]))
    every = [_evidence(recording, step, intent, followed, used) for step, followed in zip(steps, found, strict=True)]
    findings = [
        f
        for step in steps
        for f in (*_batches(recording, step.number, intent), *_dtype(step, intent, recording.asked(step.number)))
    ]
    findings += [f for evidence in every for check in CHECKS for f in check(evidence)]
    ways = tuple(map(_way, steps, every))
    return Held(tuple(findings), _diagnoses(every, findings), tuple(_open(recording, steps, every, intent)), ways)


def _way(step: WeighedStep, evidence: StepEvidence) -> Way:
    known = evidence.fit.excess <= 1.0 and step.residual <= UNEXPLAINED
    return Way(step.number, evidence.fit.hypothesis if known else None, heavy(step), step.labels)


def _diagnoses(every: Sequence[StepEvidence], findings: Sequence[Finding]) -> tuple[Diagnosis, ...]:
    """Causes of those findings that the weights and the update rule explain."""
    codes = {finding.code for finding in findings}
    return (*of_weights.diagnoses(every, codes), *of_updates.diagnoses(every, findings))


def _followed(recording: Recording, step: WeighedStep) -> Betas:
    moments = weighing.sampled_moments(recording.steps[step.number])
    return Betas(None, None) if moments is None else betas(moments, floor.MARGIN * FLOORS["second"])


def _floor(step: WeighedStep) -> Floor:
    # Where the gradient is clipped, the weights are known as well as its norm is.
    known = max(step.floor.token, step.solved.norm_error)
    numbers = {"token": known, "row": known, "norm": known, "residual": UNEXPLAINED / floor.MARGIN, **FLOORS}
    return replace(step.floor, **numbers)


def _evidence(recording: Recording, step: WeighedStep, intent: Intent, followed: Betas, used: Rule) -> StepEvidence:
    parts = recording.steps[step.number]
    right, noise, solved = _right(step, intent), _floor(step), step.solved
    left = solved.left.reshape(-1) * solved.basis.stretch
    consumed = solved.basis.gradient(solved.weights) + left
    observed = Observed(consumed, solved.weights, torch.zeros(0, dtype=torch.float64), left, float(consumed.norm()))
    moments, none = weighing.sampled_moments(parts), torch.zeros(0, dtype=torch.float64)
    states = effective.telling(recording, parts, used, step.number)
    recorded = RecordedStep(
        frozen_moved={},
        number=step.number,
        before=State({}, {}, {}),
        states=states,
        moments=moments or Moments(none, none, none, none),
        told=(Reported(step=step.number, loss=None, grad_norm=None, learning_rate=None),),
        rank_distance={},
        rank_distance_before={},
    )
    rates = {tensor: intent.learning_rate(step.number, tensor) for tensor in states}
    return StepEvidence(
        scenario=None,
        recorded=recorded,
        right=right,
        observed=observed,
        floor=noise,
        fit=hypotheses.explain(right, solved.weights, noise),
        betas=followed,
        used=used,
        tokens=token_weights(right, solved.weights, floor.told(right, noise)),
        update=_update(states, used, step.number, rates, noise),
        other_model=None,
    )


def _update(
    states: Mapping[str, TensorState], used: Rule, number: int, rates: Mapping[str, float], noise: Floor
) -> UpdateRule:
    """A tensor of zeros does not tell its decay. A rate is known as well as rounding in the worst direction leaves it,
    for no floor is measured."""
    found = update_rule(states, used, number, rates, noise)

    def allowing(updates: Sequence[TensorUpdate]) -> tuple[TensorUpdate, ...]:
        bounded = (replace(u, rate_error=max(u.rate_error, u.rate_bound / floor.MARGIN)) for u in updates)
        return tuple(u if bool(states[u.tensor].before.any()) else replace(u, decay_bound=inf) for u in bounded)

    return replace(found, as_asked=allowing(found.as_asked), explained=allowing(found.explained))


def _right(step: WeighedStep, intent: Intent) -> RightStep:
    """The step with the intended tokens trained: those of the labels, or where there were none, those that were."""
    conversations = list(step.right.conversations)
    if step.labels or intent.trained == "everything":
        conversations = masks.wanted(conversations, intent.trained)
    trained = (conversations[slot.conversation].trained[slot.position] for slot in step.right.slots)
    slots = tuple(
        replace(slot, trained=one and not behind)
        for slot, one, behind in zip(step.right.slots, trained, step.behind, strict=True)
    )
    if intent.micro_batch_tokens is not None:  # as it was received: the framework chooses
        own = step.right.intent
        intent = replace(intent, windows=None, accumulation=own.accumulation, micro_batch_size=own.micro_batch_size)
    return replace(step.right, intent=intent, conversations=conversations, slots=slots)


def _batches(recording: Recording, number: int, intent: Intent) -> list[Finding]:
    """`inputs.batch`: forward passes and texts of each rank, against the micro-batches and rows that are intended."""
    for rank, part in enumerate(recording.steps[number]):
        wanted = _texts(intent, number, rank)
        if intent.micro_batch_tokens is not None:
            got, expected = sum(map(len, part.line.texts)), sum(wanted)
            if got == expected:
                continue
            message = f"rank {rank} had {got} texts at step {number}, expected {expected}"
            return [Finding("inputs.batch", message, number, rank=rank, observed=float(got), expected=float(expected))]
        wrong = [(i, len(names)) for i, names in enumerate(part.line.texts[: len(wanted)]) if len(names) != wanted[i]]
        if part.line.passes != len(wanted):
            what, got, expected = "micro-batches", part.line.passes, len(wanted)
        elif wrong and not (intent.drawn is not None and intent.windows is None):
            at, got = wrong[0]
            what, expected = f"texts in micro-batch {at}", wanted[at]
        else:
            continue
        message = f"rank {rank} had {got} {what} at step {number}, expected {expected}"
        return [Finding("inputs.batch", message, number, rank=rank, observed=float(got), expected=float(expected))]
    return []


def _texts(intent: Intent, number: int, rank: int) -> list[int]:
    """How many each micro-batch of a rank should have; of steps beyond the intent's, as many as of a full one."""
    if intent.windows is not None and number < len(intent.windows):
        return [len(ranks[rank]) for ranks in intent.windows[number]]
    return [intent.micro_batch_size * intent.rows_per_sequence] * intent.accumulation


def _dtype(step: WeighedStep, intent: Intent, asked: str) -> list[Finding]:
    """`numerics.dtype` or `weights.residual`, of what float32 does not leave; more than UNEXPLAINED is found anyway."""
    if intent.precision != "fp32" or not FINE < step.residual <= UNEXPLAINED:
        return []
    coarse = step.residual <= ROUNDING
    message = (
        f"the gradient of {asked} at step {step.number} carries rounding of {step.residual:.2g} (relative), expected at"
        f" most {FINE:g} in fp32"
        if coarse
        else f"{step.residual:.3g} of the gradient of {asked} at step {step.number} cannot come from the batch's own"
        f" tokens (allowed {FINE:g} in fp32)"
    )
    code = "numerics.dtype" if coarse else "weights.residual"
    return [Finding(code, message, step.number, observed=step.residual, expected=0.0, tolerance=FINE)]


def _open(
    recording: Recording, steps: Sequence[WeighedStep], every: Sequence[StepEvidence], intent: Intent
) -> list[str]:
    multiple = all(is_multiple_of_right(evidence.fit) for evidence in every)
    hides = any(effective.is_coarse(recording, parts) for parts in recording.steps.values())
    coarse = COARSE & {*recording.header.dtypes} if hides else set()
    left_out = len(recording.header.parameters) - min(len(evidence.recorded.states) for evidence in every)
    asked = (
        (intent.windows is not None, "which rows are in which window: of the texts there are hashes alone"),
        (True, "the token ids, which are not held against any; nor are numbers that a log reported"),
        (
            not all(step.labels for step in steps) and intent.trained != "everything",
            "which tokens should be trained, for the model was given no labels: those that were are taken to be right",
        ),
        (bool(intent.auxiliary), "the weight of the load-balancing loss, of which the head's gradient has nothing"),
        (bool(coarse), f"rates and decay of parameters in {', '.join(sorted(coarse))}, whose rounding hides them"),
        (
            left_out > 0 and not coarse,
            f"rate and decay of {left_out} tensors, whose samples did not move or are alike",
        ),
        (not all(bool(evidence.tokens.told.all()) for evidence in every), questions.OPEN[questions.TOKENS]),
        (not multiple, questions.OPEN[questions.NORM]),
        (True, questions.OPEN[questions.ELSEWHERE]),
        (True, questions.OPEN[questions.ATTENTION]),
        (True, questions.OPEN[questions.POSITIONS]),
    )
    return [sentence for is_open, sentence in asked if is_open]
