"""Everything the oracle can say about a trace, step by step, before anybody judges it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from adapters.contract import Optimizer
from harness.oracle import floor, hypotheses
from harness.oracle.basis import BasisCache, flatten
from harness.oracle.floor import Floor, State
from harness.oracle.hypotheses import Fit, Hypothesis
from harness.oracle.observe import Betas, Moments, Observed, betas, first_ratio, observe, second_moment_error
from harness.oracle.step import RightStep, right_step
from harness.oracle.update import TensorState, TensorUpdate, recover, recover_eps
from harness.traces import batch
from harness.traces.reader import IncompleteTrace, Trace, non_finite
from harness.traces.text_files import Reported
from scenarios import text
from scenarios import weights as shapes


class NonFinite(Exception):
    """A recorded tensor holds a NaN or an infinity; the message says which."""


@dataclass(frozen=True)
class RowWeight:
    """What the tokens of one conversation weighed, times N: a right unclipped step gives 1.0."""

    rank: int
    micro_batch: int
    row: int | None
    """Index into the scenario's rows."""
    trained: int
    """Tokens to be trained."""
    weight: float
    """Mean recovered weight of these tokens x N."""
    spread: float
    """Largest distance of one token's weight from that mean, x N."""
    expected: float
    """The clip coefficient."""


@dataclass(frozen=True)
class StepEvidence:
    """One optimizer step: what was right, what was observed, and how well either is known."""

    right: RightStep
    observed: Observed
    moments: Moments
    floor: Floor
    fit: Fit
    betas: Betas
    used: Optimizer
    """The scenario's optimizer, with betas as recovered where they are not the scenario's."""
    states: dict[str, TensorState]
    updates: tuple[TensorUpdate, ...]
    reported: Reported | None
    rank_distance: dict[int, tuple[str, float]]
    """For every other rank whose parameters differ from rank 0's: the tensor that differs most, and its distance."""
    before: State
    """Parameters and moments before the step."""

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
        return self.right.scenario.optimizer.weight_decay if self.before.parameters[tensor].ndim > 1 else 0.0

    @property
    def expected_learning_rate(self) -> float:
        return self.right.scenario.learning_rate_at(self.step)

    @cached_property
    def coarse(self) -> Floor | None:
        """The floor that bfloat16 would have, for a run in float32."""
        return (
            floor.measure(self.right, self.before, torch.bfloat16) if self.right.scenario.precision == "fp32" else None
        )

    @property
    def looks_coarse(self) -> bool:
        """Whether bfloat16 arithmetic would explain all that is off in a float32 run: residual, weights and reports."""
        coarse = self.coarse
        if coarse is None or self.residual > coarse.tolerance("residual"):
            return False
        fit = hypotheses.compare(hypotheses.weighing(self.right), self.fit.hypothesis, self.observed.weights, coarse)
        told = self.reported
        pairs = ((told.loss, self.loss_right, "loss"), (told.grad_norm, self.fit.norm, "norm")) if told else ()
        near = all(got is None or abs(got / right - 1) <= coarse.tolerance(name) for got, right, name in pairs)
        return fit.excess <= 1.0 and near

    def _recovered(self, rule: Optimizer, ahead: int = 0) -> tuple[TensorUpdate, ...]:
        return tuple(recover(n, s, rule, self.step + 1 + ahead) for n, s in self.states.items())

    @cached_property
    def ahead(self) -> int:
        """By how many steps Adam's step count, and so its bias correction, is ahead: 1 if that alone makes the
        learning rate of every tensor right, else 0."""
        allowed, right = self.floor.tolerance("learning_rate"), self.expected_learning_rate

        def fits(updates: tuple[TensorUpdate, ...]) -> bool:
            return all(abs(u.learning_rate / right - 1) <= max(allowed, floor.MARGIN * u.rate_error) for u in updates)

        return int(not fits(self.updates) and fits(self._recovered(self.used, ahead=1)))

    @cached_property
    def eps(self) -> float | None:
        """An eps under which every update follows from its moments, if the scenario's does not and another does."""
        if all(map(self.follows, self._recovered(self.used, self.ahead))):
            return None
        found = recover_eps(self.states, self.used, self.step + 1)
        if found is None:
            return None
        return found if all(map(self.follows, self._recovered(replace(self.used, eps=found)))) else None

    def follows(self, update: TensorUpdate) -> bool:
        """Whether an update follows from its moments, as far as its rounding lets one tell."""
        return update.residual <= max(self.floor.tolerance("update"), update.residual_bound)

    @cached_property
    def corrected(self) -> tuple[TensorUpdate, ...]:
        """The updates recovered with the step count and the eps that explain them."""
        rule = self.used if self.eps is None else replace(self.used, eps=self.eps)
        return self._recovered(rule, self.ahead)

    @cached_property
    def shown(self) -> tuple[TensorUpdate, ...]:
        """What is shown of every tensor's update: the learning rate that it really moved by, if one goes by the
        scenario's rule; and the decay as it is judged, which a step count or an eps does not touch."""
        return tuple(
            replace(plain, weight_decay=judged.weight_decay)
            for plain, judged in zip(self.updates, self.corrected, strict=True)
        )

    @cached_property
    def slot_weights(self) -> Tensor:
        """Recovered weight of every slot x N; a column that several slots share is dealt out evenly among the trained
        ones (or among all, if none is)."""
        count = self.right.by_column(torch.tensor([float(s.trained) for s in self.right.slots]))
        every = self.right.by_column(torch.ones(len(self.right.slots)))
        dealt = torch.tensor(
            [
                float(self.observed.weights[s.column])
                / float(every[s.column] if not count[s.column] else count[s.column])
                * (s.trained or not count[s.column])
                for s in self.right.slots
            ]
        )
        return dealt * self.right.targets

    @cached_property
    def rows(self) -> tuple[RowWeight, ...]:
        result = []
        for i, c in enumerate(self.right.conversations):
            chosen = [j for j, s in enumerate(self.right.slots) if s.conversation == i and s.trained]
            if not chosen:
                continue
            each = self.slot_weights[chosen]
            mean = float(each.mean())
            spread = float((each - mean).abs().max())
            result.append(RowWeight(c.rank, c.micro_batch, c.row, len(chosen), mean, spread, self.right.clip))
        return tuple(result)

    @property
    def prompt_largest(self) -> float:
        """Largest weight x N of a token that should have none."""
        silent = [j for j, s in enumerate(self.right.slots) if not s.trained]
        return float(self.slot_weights[silent].abs().max()) if silent else 0.0


def _check_states(trace: Trace) -> None:
    names = set(shapes.shapes(trace.scenario.model))
    for step in range(trace.steps + 1):
        tensors = trace.tensors(step)
        kinds = ("param",) if step == 0 else ("param", "exp_avg", "exp_avg_sq")
        if missing := sorted({f"{kind}/{name}" for kind in kinds for name in names} - set(tensors)):
            raise IncompleteTrace(f"the state after step {step} lacks {missing[0]} ({len(missing)} in all)")
        for name, shape in shapes.shapes(trace.scenario.model).items():
            for kind in kinds:
                if tuple(tensors[f"{kind}/{name}"].shape) != shape:
                    raise IncompleteTrace(f"{kind}/{name} after step {step} has another shape than the model's {shape}")
        if bad := non_finite(tensors):
            raise NonFinite(f"{bad} holds a NaN or an infinity after step {step}")


def _moments(trace: Trace, step: int) -> Moments:
    def flat(at: int, kind: str) -> Tensor:
        state = trace.state(at, kind)
        return flatten(state) if state else torch.zeros_like(flatten(trace.state(at, "param")))

    return Moments(*(flat(at, kind) for kind in ("exp_avg", "exp_avg_sq") for at in (step, step + 1)))


def _states(trace: Trace, step: int) -> dict[str, TensorState]:
    before, after = trace.state(step, "param"), trace.state(step + 1, "param")
    first, second = trace.state(step + 1, "exp_avg"), trace.state(step + 1, "exp_avg_sq")
    return {
        n: TensorState(before[n].double(), after[n].double(), first[n].double(), second[n].double())
        for n in sorted(before)
    }


def _floor_state(trace: Trace, step: int) -> State:
    parameters = trace.state(step, "param")
    zeros = {n: torch.zeros_like(p) for n, p in parameters.items()}
    return State(parameters, trace.state(step, "exp_avg") or zeros, trace.state(step, "exp_avg_sq") or zeros)


def _rank_distance(trace: Trace, step: int) -> dict[int, tuple[str, float]]:
    mine = trace.state(step + 1, "param")
    result = {}
    for rank in range(1, trace.header.ranks):
        theirs = trace.state(step + 1, "param", rank)
        far = {n: _distance(mine[n], theirs[n]) for n in mine if n in theirs}
        worst = max(far, key=lambda n: far[n], default="")
        if worst and far[worst] > 0:
            result[rank] = (worst, far[worst])
    return result


def _distance(one: Tensor, other: Tensor) -> float:
    """L2, in the coarser of the two dtypes: one rank may tell its master weights, another the rounded copy."""
    coarser = min(one.dtype, other.dtype, key=lambda dtype: dtype.itemsize)
    return float((one.to(coarser).double() - other.to(coarser).double()).norm())


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
        if hypotheses.compare(hypotheses.weighing(right), Hypothesis(), weights, noise).excess <= 1.0:
            return Betas(beta1, beta2)
    return Betas(None, None)


def _allowing_padding(right: RightStep, before: State, cache: BasisCache) -> RightStep:
    """The same step with the first token of the padding behind each conversation as a token that has its gradient.

    What is right does not change, but a loss mask that reaches into the padding can be told then.
    """
    pad = right.scenario.vocabulary.index(text.PAD)
    conversations = [batch.with_padding(c, pad) for c in right.conversations]
    return right_step(right.scenario, right.number, conversations, before.parameters, cache)


def _observed(
    right: RightStep, moments: Moments, beta1: float, before: State, noise: Floor, cache: BasisCache
) -> tuple[RightStep, Observed]:
    """The step and its recovered weights; with padding allowed for where only that explains the gradient."""
    observed = observe(right.basis, moments, beta1)
    if observed.residual > noise.tolerance("residual") and any(c.padded for c in right.conversations):
        allowing = _allowing_padding(right, before, cache)
        seen = observe(allowing.basis, moments, beta1)
        if seen.residual <= noise.tolerance("residual"):
            return allowing, seen
    return right, observed


def gather(trace: Trace, cache: BasisCache) -> tuple[StepEvidence, ...]:
    """Weigh every step of a trace.

    Raises IncompleteTrace if tensors or batches that are needed are not there, NonFinite, and UnreadableTrace.
    """
    _check_states(trace)
    scenario = trace.scenario
    rights, floors, moments, before = [], [], [], []
    for step in range(trace.steps):
        if step and _rank_distance(trace, step - 1):
            # From here on the ranks' gradients belong to different parameters: no one basis explains their average.
            break
        conversations = batch.conversations(scenario, [b for b in trace.batches if b.step == step])
        if not any(c.targets for c in conversations):
            raise IncompleteTrace(f"no trained token was recorded for step {step}")
        rights.append(right_step(scenario, step, conversations, trace.state(step, "param"), cache))
        before.append(_floor_state(trace, step))
        floors.append(floor.measure(rights[-1], before[-1]))
        moments.append(_moments(trace, step))
    if not rights:
        return ()
    noise = floor.worst(floors)
    found = [betas(m, noise.tolerance("second")) for m in moments]
    if len(rights) == 1:
        found = [_first_betas(rights[0], moments[0], noise)]
    used = _used(scenario.optimizer, found, noise)
    result = []
    for step, plain in enumerate(rights):
        right, observed = _observed(plain, moments[step], used.beta1, before[step], noise, cache)
        states = _states(trace, step)
        result.append(
            StepEvidence(
                right=right,
                observed=observed,
                moments=moments[step],
                floor=noise,
                fit=hypotheses.explain(right, observed.weights, noise),
                betas=found[step],
                used=used,
                states=states,
                updates=tuple(recover(n, s, used, step + 1) for n, s in states.items()),
                reported=next((r for r in trace.reported if r.step == step), None),
                rank_distance=_rank_distance(trace, step),
                before=before[step],
            )
        )
    return tuple(result)
