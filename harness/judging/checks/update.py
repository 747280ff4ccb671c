"""Did every tensor move by the rule that is intended?"""

from __future__ import annotations

from collections.abc import Sequence

from harness.judging.evidence import StepEvidence
from harness.oracle import floor, observe
from harness.oracle.floor import MARGIN
from harness.oracle.update import TensorUpdate
from harness.verdicts.findings import Finding

SOURCE = "floor of this step x margin"


def learning_rate(evidence: StepEvidence) -> list[Finding]:
    """`update.learning-rate`, one finding for all tensors that got the same wrong rate."""
    allowed = evidence.floor.tolerance("learning_rate")
    right = {u.tensor: evidence.expected_learning_rate(u.tensor) for u in evidence.update.explained}
    groups: dict[tuple[str, float], list[TensorUpdate]] = {}
    for u in evidence.update.explained:
        off = abs(u.learning_rate - right[u.tensor])
        if not off <= max(allowed, MARGIN * u.rate_error) * right[u.tensor]:  # also if it is NaN
            groups.setdefault((f"{u.learning_rate:.3g}", right[u.tensor]), []).append(u)
    return [_rate(evidence, group, wanted, allowed) for (_, wanted), group in groups.items()]


def _who(evidence: StepEvidence, group: Sequence[TensorUpdate]) -> str:
    if len(group) == len(evidence.update.told):
        return "all tensors"
    return group[0].tensor if len(group) == 1 else f"{len(group)} tensors ({group[0].tensor}, ...)"


def _rate(evidence: StepEvidence, group: Sequence[TensorUpdate], right: float, allowed: float) -> Finding:
    got = group[0].learning_rate
    return Finding(
        "update.learning-rate",
        f"{_who(evidence, group)} moved with learning rate {got:.6g} at step {evidence.step}, expected {right:.6g}"
        f" (allowed {allowed:.1g} relative)",
        step=evidence.step,
        tensor=group[0].tensor if len(group) == 1 else None,
        observed=got,
        expected=right,
        tolerance=allowed,
        tolerance_source=SOURCE,
        detail={"tensors": [u.tensor for u in group], "all": len(group) == len(evidence.update.told)},
    )


def weight_decay(evidence: StepEvidence) -> list[Finding]:
    """`update.weight-decay`, one finding for all tensors, and one for decay that should be part of the gradient."""
    allowed = evidence.floor.tolerance("decay")
    return [*_in_gradient(evidence), *_of_parameters(evidence, allowed)]


def _in_gradient(evidence: StepEvidence) -> list[Finding]:
    share, intent = evidence.betas.decay, evidence.right.intent
    allowed = floor.decay_allowed(evidence.betas, intent, evidence.floor)
    if share is None or floor.decay_off(evidence.betas, intent) <= allowed:
        return []
    right = max(group.weight_decay for group in intent.rule.groups)
    tensors = [n for n in evidence.recorded.states if intent.decay_in_gradient(n)]
    return [
        Finding(
            "update.weight-decay",
            f"the gradient holds {share * right:.4g} times the parameters at step {evidence.step}, expected {right:g}"
            f" (allowed {allowed:.1g} absolute)",
            step=evidence.step,
            observed=share * right,
            expected=right,
            tolerance=allowed,
            tolerance_source=SOURCE,
            detail={"tensors": tensors, "coupled": True},
        )
    ]


def _of_parameters(evidence: StepEvidence, allowed: float) -> list[Finding]:
    wrong = [
        u
        for u in evidence.update.explained
        if u.learning_rate
        and not abs(u.weight_decay - evidence.expected_decay(u.tensor))
        <= max(allowed, MARGIN * u.decay_error, u.decay_bound)
    ]
    if not wrong:
        return []
    first = wrong[0]
    right = evidence.expected_decay(first.tensor)
    return [
        Finding(
            "update.weight-decay",
            f"{_who(evidence, wrong)} decayed by {first.weight_decay:.4g} at step {evidence.step}, expected {right:.4g}"
            f" (allowed {allowed:.1g} absolute)",
            step=evidence.step,
            tensor=first.tensor if len(wrong) == 1 else None,
            observed=first.weight_decay,
            expected=right,
            tolerance=allowed,
            tolerance_source=SOURCE,
            detail={"tensors": [u.tensor for u in wrong]},
        )
    ]


def moments(evidence: StepEvidence) -> list[Finding]:
    """`update.moments`: betas that are not the intended ones, or an update that does not follow from the moments."""
    return [*_betas(evidence), *_second(evidence), *_count(evidence), *_nesterov(evidence), *_rule(evidence)]


_KEPT = {"sgd": "momentum", "adagrad": "share of squares", "rmsprop": "alpha"}
"""What an optimizer without betas keeps of what it holds."""
_TITLES = {"adamw": "AdamW", "sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop"}


def _betas(evidence: StepEvidence) -> list[Finding]:
    findings, rule = [], evidence.right.intent.rule
    for field, right in (("beta1", rule.kept), ("beta2", rule.beta2)):
        got, allowed = getattr(evidence.betas, field), floor.beta_allowed(evidence.betas, field, evidence.floor)
        name = _KEPT.get(rule.name, field)
        if got is not None and not abs(got - right) <= allowed:
            findings.append(
                Finding(
                    "update.moments",
                    f"the moments follow {name} = {got:.6g} at step {evidence.step}, expected {right:g}"
                    f" (allowed {allowed:.1g})",
                    step=evidence.step,
                    observed=got,
                    expected=right,
                    tolerance=allowed,
                    tolerance_source=SOURCE,
                    detail={"what": name},
                )
            )
    return findings


def _second(evidence: StepEvidence) -> list[Finding]:
    """The second moment must follow from the same gradient as the first."""
    rule = evidence.right.intent.rule
    off = observe.second_moment_error(evidence.recorded.moments, evidence.used.kept, rule.beta2)
    allowed = evidence.floor.tolerance("second")
    if off <= allowed or evidence.used.beta2 != rule.beta2:
        return []
    return [
        Finding(
            "update.moments",
            f"the second moment at step {evidence.step} is {off:.3g} (relative) away from beta2 v + (1 - beta2) G^2"
            f" (allowed {allowed:.1g})",
            step=evidence.step,
            observed=off,
            expected=0.0,
            tolerance=allowed,
            tolerance_source=SOURCE,
            detail={"what": "second moment"},
        )
    ]


def _count(evidence: StepEvidence) -> list[Finding]:
    if not evidence.update.steps_ahead:
        return []
    right = evidence.right.update + 1
    counted = right + evidence.update.steps_ahead
    plain = evidence.update.as_asked[0].learning_rate
    return [
        Finding(
            "update.moments",
            f"Adam's step count is {counted} at optimizer step {evidence.step}, expected {right}: its bias correction"
            f" is a step ahead, as if the learning rate were {plain:.6g},"
            f" expected {evidence.scheduled_rate:.6g}"
            f" (allowed {evidence.floor.tolerance('learning_rate'):.1g} relative)",
            step=evidence.step,
            observed=float(counted),
            expected=float(right),
            tolerance=evidence.floor.tolerance("learning_rate"),
            tolerance_source=SOURCE,
            detail={"what": "step count", "learning_rate_as_if": plain},
        )
    ]


def _nesterov(evidence: StepEvidence) -> list[Finding]:
    if not evidence.update.nesterov:
        return []
    return [
        Finding(
            "update.moments",
            f"all tensors moved by gradient + momentum x their momentum at step {evidence.step}, as Nesterov has it,"
            " expected the momentum alone",
            step=evidence.step,
            detail={"what": "nesterov"},
        )
    ]


def _rule(evidence: StepEvidence) -> list[Finding]:
    eps = evidence.update.eps
    # Told by the updates as they are if an eps explains them, else by what is left under all corrections.
    wrong = [
        u
        for u in (evidence.update.explained if eps is None else evidence.update.as_asked)
        if not evidence.update.follows(u)
    ]
    if not wrong:
        return []
    worst, rule = max(wrong, key=lambda u: u.residual), evidence.right.intent.rule
    allowed = max(evidence.floor.tolerance("update"), worst.residual_bound)
    fits = "" if eps is None else f"; eps = {eps:.3g} explains it, expected {rule.eps:g}"
    return [
        Finding(
            "update.moments",
            f"{worst.residual:.3g} of the update of {worst.tensor} at step {evidence.step} does not follow from its"
            f" moments by {_TITLES[rule.name]} (allowed {allowed:.1g}){fits}",
            step=evidence.step,
            tensor=worst.tensor,
            observed=worst.residual,
            expected=0.0,
            tolerance=allowed,
            tolerance_source=SOURCE,
            detail={"what": "update" if eps is None else "eps", "eps": eps},
        )
    ]
