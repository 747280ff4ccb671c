"""What a run's steps were, in sentences: its effective objective, clipping, and update rule."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from harness.intent.intent import Trained
from harness.intent.words import told
from harness.judging.evidence import StepEvidence
from harness.oracle import hypotheses

_TRAINED: dict[Trained, str] = {
    "responses": "the tokens of the responses",
    "last-answer": "the tokens of the last response of each row",
    "everything": "every token, prompts too",
    "no-eos": "the tokens of the responses but for the EOS",
    "no-first": "the tokens of the responses but for the first",
    "with-tag": "the tokens of the responses and the tag before them",
    "as-marked": "the tokens that the labels mark",
}


def sentences(evidence: Sequence[StepEvidence]) -> tuple[str, ...]:
    """What steps were that were weighed under the intent that they follow (`effective.followed`), or under any other
    that they are right by."""
    if not evidence:
        return ()
    return (_trained(evidence[0]), *_weighed(evidence), _rates(evidence), _decays(evidence), _optimizer(evidence[0]))


def _trained(e: StepEvidence) -> str:
    of = sum(len(c.ids) for c in e.right.conversations)
    return f"trained are {_TRAINED[e.right.intent.trained]}: {e.right.targets} of {of} tokens at step {e.step}"


def _weighed(evidence: Sequence[StepEvidence]) -> list[str]:
    """One sentence for all steps that are as described, by the first of them; one for each kind of the others."""
    right = [e for e in evidence if _as_described(e)]
    result = [_objective(right)] if right else []
    others: dict[str, list[int]] = {}
    for e in evidence:
        if not _as_described(e):
            others.setdefault(_why(e), []).append(e.step)
    for why, steps in others.items():
        at = f"step{'s' * (len(steps) > 1)} {', '.join(map(str, steps))}"
        result.append(f"{at}: {why}, which no objective does")
    return result


def _as_described(e: StepEvidence) -> bool:
    return e.fit.hypothesis == hypotheses.Hypothesis() and e.fit.excess <= 1.0


_WRONG = {
    "mask": "the tokens that are trained are not those",
    "dropped": "micro-batches are dropped",
    "objective": "weights follow another objective",
    "level": "losses are averaged otherwise than in the other steps",
    "pieces": "the loss is put together from pieces, or cut off",
    "scale": "the gradient is off by one factor",
    "clip": "the gradient is clipped otherwise than in the other steps",
}


def _why(e: StepEvidence) -> str:
    if not e.fit.excess <= 1.0:
        return "tokens weigh what nothing explains"
    return " and ".join(_WRONG[part] for part in hypotheses.wrong_parts(e.fit.hypothesis))


def _objective(evidence: Sequence[StepEvidence]) -> str:
    e = evidence[0]
    window = f"the {e.right.intent.accumulation} micro-batches and {e.right.intent.ranks} ranks"
    low, high = (pick(r.weight for r in e.tokens.rows) for pick in (min, max))
    if e.right.intent.uniform:
        weight = f"every trained token of {window} weighs {statistics.mean((low, high)):.4g}/{e.right.targets}"
    else:
        weight = (
            f"the trained tokens of {window} weigh from {low:.4g}/{e.right.targets} to {high:.4g}/{e.right.targets}"
        )
    return f"{weight} at step {e.step}: {told(e.right.intent.aggregation)}, {_clipping(evidence)}"


def _clipping(evidence: Sequence[StepEvidence]) -> str:
    limit = evidence[0].right.intent.max_grad_norm
    norms = ", ".join(f"{e.norm_right:.3g}" for e in evidence)
    if limit is None:
        return f"not clipped (gradient norm {norms})"
    clipped = [e for e in evidence if hypotheses.clips(e.right, e.norm_right)]
    if len(clipped) == len(evidence):
        return f"clipped {norms} -> {limit}"
    return f"clipped to {limit} where the gradient norm is above ({norms})"


def _rates(evidence: Sequence[StepEvidence]) -> str:
    rates = [statistics.median([u.learning_rate for u in e.update.told] or [0.0]) for e in evidence]
    shown = [f"{rate:.3g}" for rate in rates]
    if len(set(shown)) == 1:
        return f"learning rate {shown[0]} {'in every step' if len(shown) > 1 else 'in its only step'}"
    return f"learning rate {', '.join(shown)} by step"


def _decays(evidence: Sequence[StepEvidence]) -> str:
    e = evidence[0]
    groups: dict[float, list[str]] = {}
    for name in e.recorded.states:
        groups.setdefault(e.expected_decay(name), []).append(name)

    def is_matrix(name: str) -> bool:
        return e.recorded.states[name].before.ndim > 1

    parts = []
    for decay, names in sorted(groups.items(), reverse=True):
        kinds = {(True, False): "matrices", (False, True): "norms and biases"}
        which = kinds.get((all(map(is_matrix, names)), not any(map(is_matrix, names))), "tensors")
        parts.append(f"{decay:g} on {'all ' if len(groups) == 1 else ''}{len(names)} {which}")
    return f"weight decay {', '.join(parts)}" if any(groups) else "no weight decay"


def _optimizer(e: StepEvidence) -> str:
    rule = e.right.intent.rule
    if rule.name == "sgd":
        return f"SGD with momentum {rule.momentum:.4g}, its decay part of the gradient"
    if rule.name == "adagrad":
        return f"Adagrad with eps {rule.eps:.1g}, its decay part of the gradient"
    if rule.name == "rmsprop":
        return f"RMSprop with alpha {rule.kept:.4g} and eps {rule.eps:.1g}, its decay part of the gradient"
    return f"AdamW with beta1 {rule.beta1:.4g}, beta2 {rule.beta2:.4g} and eps {rule.eps:.1g}"
