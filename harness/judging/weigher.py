"""Two ways to weigh the tokens of a step: by the oracle's own forward pass, or by what was recorded alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from adapters.contract import ROUTED, Model
from harness.intent.intent import Intent
from harness.intent.objective import OBJECTIVES, Policy
from harness.judging.recorded_step import RecordedStep
from harness.oracle import hypotheses, observe, other_models, recorded_basis
from harness.oracle.basis_cache import Bases
from harness.oracle.hypotheses import Fit
from harness.oracle.other_models import OtherModel
from harness.oracle.step import Earlier, RightStep, right_step
from harness.traces import hidden_states
from harness.traces.batch import Conversation
from harness.traces.reader import IncompleteTrace, Trace
from harness.verdicts import questions
from scenarios import weights


class Weigher(Protocol):
    """How the tokens of a step are weighed."""

    def right(
        self,
        intent: Intent,
        recorded: RecordedStep,
        conversations: Sequence[Conversation],
        forwarded: Sequence[Conversation] | None = None,
    ) -> RightStep:
        """What the step should have done with these; `forwarded`: the tokens of the forward passes, if they are others.
        Raises IncompleteTrace."""

    def consuming(self, right: RightStep, gradient: Tensor, /) -> RightStep:
        """The same, once it is known by which betas the gradient [parameters] follows from the moments."""

    def other_model(
        self, right: RightStep, recorded: RecordedStep, beta1: float, allowed: float, /
    ) -> OtherModel | None:
        """Another model by which the tokens leave no more than `allowed` of what the step consumed, if there is one."""

    def memory(self, lengths: Sequence[int]) -> int:
        """Bytes of the largest thing that weighing conversations of these lengths makes."""

    def open(self, fit: Fit, /) -> tuple[str, ...]:
        """The keys of `questions.OPEN` that it leaves open."""


@dataclass(frozen=True)
class ByForward:
    """By the oracle's own forward pass of the model, and bases of one kind."""

    model: Model
    bases: Bases

    def right(
        self,
        intent: Intent,
        recorded: RecordedStep,
        conversations: Sequence[Conversation],
        forwarded: Sequence[Conversation] | None = None,
    ) -> RightStep:
        before, number, skipped = recorded.before.parameters, recorded.number, recorded.skipped
        earlier = _referred(intent, recorded)
        return right_step(intent, self.model, number, conversations, before, self.bases, forwarded, skipped, earlier)

    def consuming(self, right: RightStep, _: Tensor, /) -> RightStep:
        return right

    def other_model(
        self, right: RightStep, recorded: RecordedStep, beta1: float, allowed: float, /
    ) -> OtherModel | None:
        before, earlier = recorded.before, recorded.earlier
        return other_models.explaining(right, recorded.moments, beta1, before, allowed, self.bases, earlier)

    def memory(self, lengths: Sequence[int]) -> int:
        """All of it float64: the gradients of all tokens, and of what may come beside them in every pass; the attention
        of the longest conversation, backwards for each of its tokens; or the attention of all conversations at once,
        with what its backward pass needs."""
        model, tokens = self.model, sum(lengths)
        passes = len(lengths) if model.architecture in ROUTED else 0
        gradients = (tokens + 2 * passes) * (weights.count(model) + tokens)
        return 8 * max(gradients, max(lengths) ** 3 * model.heads, 4 * tokens**2 * model.heads * model.layers)

    def open(self, _: Fit, /) -> tuple[str, ...]:
        return ()


def _referred(intent: Intent, recorded: RecordedStep) -> Earlier | None:
    """Parameters that the intended objective refers to; None if it is none."""
    wanted = intent.aggregation
    if not isinstance(wanted, OBJECTIVES):
        return None
    every = wanted.every if isinstance(wanted, Policy) else 1
    return Earlier(sampled=recorded.past[recorded.number - recorded.number % every], reference=recorded.past[0])


@dataclass(frozen=True)
class ByRecording:
    """By the head's equations, and what the head was given as it was recorded: for models of any family."""

    trace: Trace

    def right(
        self,
        intent: Intent,
        recorded: RecordedStep,
        conversations: Sequence[Conversation],
        _: Sequence[Conversation] | None = None,
    ) -> RightStep:
        if isinstance(intent.aggregation, OBJECTIVES):
            raise IncompleteTrace(
                "log-probabilities by earlier parameters are not recorded, and the oracle has no forward pass"
            )
        model, before, number = self.trace.scenario.model, recorded.before.parameters, recorded.number
        states = hidden_states.of_step(self.trace, number, conversations)
        gradient = observe.gradient(recorded.moments, intent.rule.kept)
        return recorded_basis.right_step(
            intent, model, number, conversations, before, states, gradient, recorded.skipped
        )

    def consuming(self, right: RightStep, gradient: Tensor, /) -> RightStep:
        return recorded_basis.consuming(right, gradient)

    def other_model(
        self, right: RightStep, recorded: RecordedStep, beta1: float, allowed: float, /
    ) -> OtherModel | None:
        """The same model's head as it was before the step before; another model's forward pass cannot be made."""
        if recorded.earlier is None:
            return None
        states = hidden_states.of_step(self.trace, right.number, right.conversations)
        given = right.intent, right.model, right.number, right.conversations, recorded.earlier, states
        gradient = observe.gradient(recorded.moments, beta1)
        return other_models.stale(
            recorded_basis.right_step(*given, gradient, right.skipped), recorded.moments, beta1, allowed
        )

    def memory(self, lengths: Sequence[int]) -> int:
        """All of it float64: products of tokens with tokens, and of tokens with the rows of the head that are asked."""
        tokens = sum(lengths)
        return 8 * 4 * tokens * (tokens + min(self.trace.scenario.model.vocab_size, recorded_basis.ROWS))

    def open(self, fit: Fit, /) -> tuple[str, ...]:
        plain = (questions.ELSEWHERE, questions.ATTENTION, questions.POSITIONS)
        return plain if is_multiple_of_right(fit) else (*plain, questions.NORM)


def is_multiple_of_right(fit: Fit) -> bool:
    """Whether the weights found are the right ones times a number, so that the norm of the right gradient follows."""
    wrong = hypotheses.wrong_parts(fit.hypothesis)
    return fit.excess <= 1.0 and fit.hypothesis.clip != "per-rank" and set(wrong) <= {"scale", "clip"}
