"""What the watched steps of a recording were, in sentences, and what in them no objective does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from harness.intent.intent import Intent, Mean
from harness.intent.words import told as aggregation
from harness.judging.checks.weights import MASKS
from harness.oracle import factors, levels
from harness.oracle.floor import TELL
from harness.recordings import by_role, effective, held, schedules, weighing
from harness.recordings.effective import GroupRule
from harness.recordings.facts import Fact, facts
from harness.recordings.held import Way
from harness.recordings.reader import Recording
from harness.recordings.weighing import NOTICEABLE, UNEXPLAINED, Unweighable, WeighedStep
from harness.verdicts.findings import Diagnosis, Finding
from lockstep_recorder.batch import EOS, PADDING

SKETCHED = 1e-5
"""Relative distance of two sketches of the same numbers: float32, summed in any order."""
EVEN = 1e-3
"""Share of a weight up to which the texts of a step weigh alike."""
MOST_SHOWN = 6
"""Numbers of a sentence, where each step has its own."""
STALE = 0.1
"""Share of what is unexplained that may be left when the step before is allowed for."""


@dataclass(frozen=True)
class Told:
    """All that is to be said of a recording."""

    sentences: tuple[str, ...]
    findings: tuple[Finding, ...]
    unknown: tuple[str, ...]
    """What could not be told, and why."""
    groups: tuple[GroupRule, ...]
    facts: tuple[Fact, ...] = ()
    open: tuple[str, ...] = ()
    """What an intent says, and no recording can tell."""
    diagnoses: tuple[Diagnosis, ...] = ()
    """Causes of what an intent finds."""
    ways: tuple[Way, ...] = ()
    """How tokens weigh beside what an intent says, a step each."""


def tell(recording: Recording, intent: Intent | None = None) -> Told:
    """Weigh every watched step, and say what it was; hold it against an intent that fits, if one is given."""
    steps: list[WeighedStep] = []
    unknown = [f"recording ended early: {why}" for why in recording.ended]
    unknown += [f"step {number}: not all ranks have recorded it" for number in recording.partial]
    idle = _idle_steps(recording)
    for number in recording.steps:
        if number in idle:
            continue
        try:
            steps.append(weighing.weigh(recording, number))
        except Unweighable as error:
            unknown.append(f"the weights of step {number}'s tokens: {error}")
    if not recording.steps:
        unknown.append("every step: no step was recorded by all ranks")
    groups = [group for number in recording.steps for group in effective.groups(recording, number)]
    findings = [f for step in steps for f in (*_unexplained(recording, step), *_padding(step))]
    by_roles = [f for step in steps for f in by_role.mask(step)]
    findings += [*(by_roles or _eos(steps, intent)), *_apart(recording), *map(_idle, idle), *schedules.wrong(recording)]
    asked = held.hold(recording, steps, intent) if intent is not None else None
    if asked is not None:
        findings += asked.findings
    else:
        findings += [*(f for step in steps for f in _wrong(step)), *_rates(groups)]
    return Told(
        sentences=tuple(_sentences(steps)),
        findings=tuple(findings),
        unknown=(*unknown, *(_unnamed(step) for step in steps if intent is None and not step.fit.excess <= 1.0)),
        groups=tuple(groups),
        facts=tuple(facts(recording, steps)),
        open=asked.open if asked else (),
        diagnoses=asked.diagnoses if asked else (),
        ways=asked.ways if asked else (),
    )


def _sentences(steps: Sequence[WeighedStep]) -> list[str]:
    """One for each way of weighing, with the steps that are so."""
    found: dict[tuple[object, ...], list[WeighedStep]] = {}
    limit = weighing.limit_of_run(steps)
    for step in steps:
        found.setdefault(_kind(step, limit), []).append(step)
    return [f"{_where(those)}: {_objective(those)}, {_clipping(those, limit)}" for those in found.values()]


def _kind(step: WeighedStep, limit: float | None) -> tuple[object, ...]:
    """What steps have alike that one sentence tells of."""
    h, intent = step.fit.hypothesis, step.right.intent
    told = (step.residual <= UNEXPLAINED, step.fit.excess <= 1.0, step.labels)
    return (*told, h.mask, h.level, h.dropped, intent.accumulation, intent.ranks, weighing.limit(step) == limit)


def _where(steps: Sequence[WeighedStep]) -> str:
    return f"step{'s' * (len(steps) > 1)} {', '.join(str(step.number) for step in steps)}"


def _objective(steps: Sequence[WeighedStep]) -> str:
    """Of steps of one kind."""
    step = steps[0]
    if step.residual > UNEXPLAINED:
        return "the tokens do not explain the gradient"
    if not step.fit.excess <= 1.0:
        return "the weights of the tokens follow nothing that is known"
    right, h = step.right, step.fit.hypothesis
    level = right.intent.aggregation if h.level == levels.INTENDED else Mean(h.level)
    micro_batches, ranks = right.intent.accumulation, right.intent.ranks
    window = f"{_many(micro_batches, 'micro-batch')} on {_many(ranks, 'rank')}{_but(step)}"
    each = [(*_range(one), one.right.targets) for one in steps]
    if all(high - low <= EVEN * abs(high) for low, high, _ in each):
        told = _each(dict.fromkeys(f"{high:.4g}/{targets}" for _, high, targets in each))
        weight = f"every trained token of {window} weighs {told}"
    else:
        told = _each(dict.fromkeys(f"from {low:.4g}/{targets} to {high:.4g}/{targets}" for low, high, targets in each))
        weight = f"the trained tokens of {window} weigh {told}"
    who = "" if step.labels else " (no labels told which are to be trained: the weights do)"
    return f"{weight}{who}: {aggregation(level)}"


def _range(step: WeighedStep) -> tuple[float, float]:
    """Smallest and largest weight x N of a text that has any."""
    every = text_weights(step).values()
    rows = [r for r in every if abs(r) > NOTICEABLE * max(map(abs, every))]
    return min(rows), max(rows)


def _each(values: Iterable[str]) -> str:
    """Of several steps, and not of too many of them."""
    every = list(values)
    shown = every if len(every) <= MOST_SHOWN else [*every[: MOST_SHOWN - 1], "...", every[-1]]
    return ", ".join(shown)


def _but(step: WeighedStep) -> str:
    return f", but for {_places(step)}," if step.fit.hypothesis.dropped else ""


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 'es' if what.endswith('ch') else 's'}"


def text_weights(step: WeighedStep) -> dict[int, float]:
    """Mean weight x N of the trained tokens of each text that has any."""
    text, weights = step.tokens.text[step.trained], step.tokens.weights[step.trained]
    counts = torch.bincount(text)
    sums = torch.zeros(len(counts), dtype=torch.float64).index_add(0, text, weights)
    return {i: float(sums[i] / counts[i]) * step.right.targets for i in counts.nonzero()[:, 0].tolist()}


def _clipping(steps: Sequence[WeighedStep], limit: float | None) -> str:
    if limit is not None and weighing.limit(steps[0]) == limit:
        before = _each(f"{step.fit.norm / step.fit.hypothesis.scale.factor:.3g}" for step in steps)
        return f"clipped {before} -> {limit:g}"
    return f"gradient norm {_each(f'{step.norm:.3g}' for step in steps)} as the optimizer got it"


def _wrong(step: WeighedStep) -> list[Finding]:
    """What no objective does with the weights of tokens."""
    if step.residual > UNEXPLAINED:
        return []
    if not step.fit.excess <= 1.0:
        return []
    findings, h = [], step.fit.hypothesis
    if h.dropped:
        message = f"step {step.number}: {_places(step)} never reached the optimizer"
        findings.append(Finding("weights.dropped-micro-batches", message, step.number, observed=0.0))
    known = h.scale.name not in (factors.UNNAMED, "1", *factors.DIVISORS)
    if known and weighing.limit(step) is None:
        message = f"step {step.number}: the gradient is {h.scale.factor:.6g} times what it should be: {h.scale.name}"
        findings.append(Finding("weights.scale", message, step.number, observed=h.scale.factor, expected=1.0))
    if h.mask != levels.INTENDED and step.labels:
        message = f"step {step.number}: {MASKS[h.mask]}, which is not what the labels say"
        findings.append(Finding("weights.mask", message, step.number, detail={"mask": h.mask}))
    return findings


def _unnamed(step: WeighedStep) -> str:
    return f"why the tokens of step {step.number} weigh what they do; hold it against what is wanted, by --intent"


def _places(step: WeighedStep) -> str:
    """What was dropped, in words: `micro-batches 1 and 2 of 4`, with the ranks where those are not all."""
    dropped = step.fit.hypothesis.dropped
    ranks, numbers = sorted({r for r, _ in dropped}), sorted({m for _, m in dropped})
    if len(dropped) < len(ranks) * len(numbers):
        return ", ".join(f"micro-batch {m} of rank {r}" for r, m in sorted(dropped))
    which = " and ".join(filter(None, (", ".join(map(str, numbers[:-1])), str(numbers[-1]))))
    where = "" if len(ranks) == step.right.intent.ranks else f" on rank {', '.join(map(str, ranks))}"
    plural = "es" if len(numbers) > 1 else ""
    return f"micro-batch{plural} {which} of {step.right.intent.accumulation}{where}"


def _unexplained(recording: Recording, step: WeighedStep) -> list[Finding]:
    return [_residual(recording, step)] if step.residual > UNEXPLAINED else []


def _residual(recording: Recording, step: WeighedStep) -> Finding:
    stale = step.number - 1 in recording.steps and _is_stale(recording, step)
    why = ": the gradient of the step before is still in it" if stale else ""
    return Finding(
        "weights.residual",
        f"step {step.number}: the tokens do not explain {step.residual:.1%} of the gradient of"
        f" {recording.asked(step.number)}{why}",
        step.number,
        observed=step.residual,
        expected=0.0,
        tolerance=UNEXPLAINED,
        detail={"stale": stale},
    )


def _is_stale(recording: Recording, step: WeighedStep) -> bool:
    """Whether what is left is in the direction of what is left of the gradient of the step before."""
    now, before = recording.steps[step.number], recording.steps[step.number - 1]
    basis = step.right.basis
    try:
        here, there = (basis.solve(weighing.gradient(parts, step.betas[0]))[1].reshape(-1) for parts in (now, before))
    except Unweighable:
        return False
    size = float(there @ there)
    if not size:
        return False
    along = float(here @ there) / size
    return float((here - along * there).norm()) <= STALE * float(here.norm())


def _padding(step: WeighedStep) -> list[Finding]:
    tokens, texts = step.tokens, text_weights(step)
    most = tokens.largest * step.right.targets
    each = torch.tensor([texts.get(number, most) for number in tokens.text.tolist()], dtype=torch.float64)
    # Padding that is trained weighs what the tokens of its text do, whatever the losses are averaged over.
    alike = tokens.weights * step.right.targets > TELL * each
    heavy = tokens.any_of(PADDING) & tokens.noticeable & alike
    if not bool(heavy.any()):
        return []
    message = f"step {step.number}: {int(heavy.sum())} padding tokens behind texts are trained"
    return [Finding("weights.mask", message, step.number, detail={"mask": "padding"})]


def _eos(steps: Sequence[WeighedStep], intent: Intent | None) -> list[Finding]:
    """An EOS that is never trained, where the labels or the other tokens of its text are. Another mask than the labels'
    is told by itself."""
    if (intent is not None and intent.trained == "no-eos") or any(_is_masked(step) for step in steps):
        return []
    ends = [step.tokens.any_of(EOS) & step.tokens.known for step in steps]
    if intent is not None and intent.trained == "everything":  # texts that nothing ends have one in their padding alone
        ends = [end & ~step.tokens.any_of(PADDING) for step, end in zip(steps, ends, strict=True)]
    sizes = [(step.tokens.weights.abs()[end], step.tokens.largest) for step, end in zip(steps, ends, strict=True)]
    shares = [float(weights.max()) / largest for weights, largest in sizes if len(weights) and largest]
    if not shares or max(shares) > NOTICEABLE:
        return []
    return [Finding("weights.mask", "the EOS is never trained in any watched step", detail={"mask": "no-eos"})]


def _is_masked(step: WeighedStep) -> bool:
    return step.labels and step.fit.excess <= 1.0 and step.fit.hypothesis.mask != levels.INTENDED


def _apart(recording: Recording) -> list[Finding]:
    """Ranks that keep everything, and not the same."""
    for number, parts in recording.steps.items():
        if any(part.line.layout != "whole" for part in parts):
            continue
        for rank, part in enumerate(parts[1:], 1):
            for name in ("after/matrix/param", "after/sample/param"):
                mine, theirs = parts[0].tensors.get(name), part.tensors.get(name)
                if mine is not None and theirs is not None and _differ(mine, theirs, name):
                    message = f"rank {rank} differs from rank 0 after step {number}: ranks train models of their own"
                    return [Finding("state.rank-desync", message, number, rank=rank)]
    return []


def _differ(mine: torch.Tensor, theirs: torch.Tensor, name: str) -> bool:
    """Entries are the same to the bit; sketches of the same are so but for the order of their sums."""
    if "sample" in name or mine.shape != theirs.shape:
        return not torch.equal(mine, theirs)
    return float((mine.double() - theirs.double()).norm()) > SKETCHED * float(mine.double().norm())


def _idle_steps(recording: Recording) -> list[int]:
    """Optimizer steps that no forward pass came before, and that Adam has counted with a gradient of zeros."""
    found = [n for n, parts in recording.steps.items() if not any(p.line.passes or p.line.unknown for p in parts)]
    return [n for n in found if n + 1 in recording.steps and _counted_zeros(recording, n)]


def _counted_zeros(recording: Recording, number: int) -> bool:
    parts = recording.steps[number]
    counted, moments = recording.steps[number + 1][0].line.count, weighing.sampled_moments(parts)
    if counted is None or moments is None or counted <= (parts[0].line.count or 0):
        return False
    kept = weighing.used_betas(parts)[0] * moments.first_before
    return float((moments.first - kept).norm()) <= SKETCHED * float(kept.norm())


def _idle(number: int) -> Finding:
    message = (
        f"the optimizer made step {number} without a forward pass: its step count, and so Adam's bias correction, is"
        " ahead by it"
    )
    return Finding("update.moments", message, number, detail={"what": "step count"})


def _rates(groups: Sequence[GroupRule]) -> list[Finding]:
    findings = []
    first = min((group.step for group in groups), default=0)
    still = [group for group in groups if group.step == first and group.rate == 0.0 and group.parameters]
    if still and len(still) == len([g for g in groups if g.step == first and g.parameters]):
        rates = {group.configured_rate for group in still}
        zero = "its learning rate is 0" if rates <= {0.0, None} else "though it has a learning rate"
        message = f"step {first} moved nothing: {zero}"
        findings.append(Finding("update.learning-rate", message, first, observed=0.0))
    for group in groups:
        if group.off and group.rate:
            message = (
                f"step {group.step}: parameter group {group.group} moved by a learning rate of {group.rate:.4g},"
                f" configured are {group.configured_rate:.4g}"
            )
            findings.append(
                Finding(
                    "update.learning-rate", message, group.step, observed=group.rate, expected=group.configured_rate
                )
            )
    return findings
