"""The effective step in words, each part of it with who decides it."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.contract import Optimizer
from harness.intent import words
from harness.validation.read import redaction
from harness.validation.record import PartRecord
from harness.validation.step import effective
from harness.validation.step.effective import Effective

TRAINED: Mapping[str, str] = {
    "responses": "the responses",
    "last-answer": "the last response of each row",
    "everything": "all tokens, prompts too",
    "as-marked": "as the labels say",
}


def parts(found: Effective) -> list[PartRecord]:
    """The step in words, each thing with who decides it."""
    rule, because = found.optimizer, found.because
    told = {
        "global batch": _batch(found),
        **({"turns": found.turns} if found.turns else {}),
        "trained": TRAINED.get(found.trained, found.trained),
        **({"long rows": found.too_long} if found.too_long else {}),
        "aggregation": words.told(found.aggregation),
        "length": _length(found),
        "learning rate": _rate(rule),
        "schedule": effective.shape(rule.schedule),
        "clipping": "none" if rule.max_grad_norm is None else f"at a norm of {rule.max_grad_norm:g}",
        "optimizer": _optimizer(found),
        "decay": _decay(found),
        "dtypes": _dtypes(found),
    }
    if found.token_loss.label_smoothing:
        told["token loss"] = f"label smoothing {found.token_loss.label_smoothing:g}"
    if found.token_loss.by_probability:
        told["token loss"] = "times the target's own probability (DFT)"
    if found.auxiliary:
        told["auxiliary loss"] = f"{found.auxiliary:g} of the router's load-balancing loss"
    return [
        PartRecord(what=what, configured=said, by=redaction.line(because.get(what, "the framework")))
        for what, said in told.items()
    ]


def _batch(found: Effective) -> str:
    accumulated = (
        "an accumulation that follows from the ranks"
        if found.accumulation is None
        else f"{found.accumulation} accumulated"
    )
    ranks = (
        "ranks that nobody says (--world)" if found.ranks is None else f"{found.ranks} rank{'s' * (found.ranks > 1)}"
    )
    total = f" = {found.sequences} sequences" if found.sequences is not None else ""
    return f"{found.micro_batch_size} a micro-batch x {accumulated} x {ranks}{total}"


def _rate(rule: Optimizer) -> str:
    groups = "".join(f", times {group.rate:g} of {', '.join(group.tensors)}" for group in rule.groups)
    return f"{rule.learning_rate:g}{groups}"


def _length(found: Effective) -> str:
    if found.steps is not None:
        return f"{found.steps} steps"
    steps = f" = {found.horizon} steps" if found.horizon else "; how many steps, --rows and --world tell"
    return f"{found.epochs or 0:g} epoch{'s' * (found.epochs != 1)}{steps}"


def _optimizer(found: Effective) -> str:
    rule = found.optimizer
    if found.strange is not None:
        return f"{found.strange}, whose rule no intent says"
    if rule.kind == "adamw":
        return f"AdamW, betas {rule.beta1:g} and {rule.beta2:g}, eps {rule.eps:g}"
    return f"{rule.kind}, momentum {rule.momentum:g}" if rule.kind == "sgd" else rule.kind


def _decay(found: Effective) -> str:
    rule = found.optimizer
    if not rule.weight_decay:
        return "none"
    of = "all parameters, norms and biases too" if rule.decayed == "all" else "matrices, none of norms and biases"
    return f"{rule.weight_decay:g} of {of}"


def _dtypes(found: Effective) -> str:
    told = found.precision
    if told.compute == told.weights == "fp32":
        return "fp32"
    masters = (
        "" if told.weights == "fp32" else ", with fp32 copies" if told.masters == "fp32" else ", without fp32 copies"
    )
    reduced = "" if told.reduction == "own" else f", gradients reduced in {told.reduction}"
    return f"computed in {told.compute}, weights {told.weights}{masters}{reduced}"
