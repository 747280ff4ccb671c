"""What a cause of an unexplained gradient is, and those where something else was trained instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.oracle import head_rows
from harness.oracle.other_models import OtherModel


@dataclass(frozen=True)
class Cause:
    """What would explain a residual, and what is left of it then."""

    name: str
    summary: str
    evidence: str
    left: float
    """Residual with this cause allowed for, relative to the gradient."""
    kind: str = ""
    """As `Diagnosis.kind`."""


def _few(names: str) -> str:
    first, *more = names.split(", ")
    return f"{first} and {len(more)} more" if more else first


def _smoothing(what: str) -> str:
    if what == "none":
        return "labels are not smoothed, though they should be"
    if what.startswith("over"):
        return f"the smoothed part of the loss is averaged {what}, not as the rest of the loss is"
    return f"labels are smoothed {what}" if what == "twice" else f"labels are smoothed by {what}"


_ROWS = {
    head_rows.OUT: "the softmax leaves out the head's rows beyond the tokenizer's vocabulary, whose logits count like"
    " others",
    head_rows.EXTRA: "the head's rows beyond the tokenizer's vocabulary have no gradient, though the softmax gives them"
    " one",
    head_rows.LAST: "the last rows of the head have no gradient, as where shards of equal size do not hold all of them",
}
_SUMMARY: Mapping[str, Callable[[str], str]] = {
    "soft-cap": lambda what: f"another model is trained than the checkpoint's: its soft cap on {what} is left out",
    "lora-scale": lambda what: f"low-rank updates are multiplied by {what}, which is not their scale",
    "label-smoothing": _smoothing,
    "stale-parameters": lambda what: (
        f"the gradient is that of the parameters of {what}: what passes compute with is a"
        " copy that the update did not reach"
    ),
    "labels-unshifted": lambda what: (
        f"labels are not shifted: where a token stands the model learns to say {what}, not the one behind it"
    ),
    "untrained-part": lambda what: f"what should be trained has no gradient and stays as it is: {_few(what)}",
    head_rows.CAUSE: lambda what: _ROWS[what],
}
_BY: Mapping[str, str] = {
    "soft-cap": "of a model without it",
    "lora-scale": "of a model so scaled",
    "label-smoothing": "of a loss so smoothed",
    "stale-parameters": "at the parameters before the step before",
    "labels-unshifted": "of a loss whose targets are the tokens themselves",
    "untrained-part": "of all other tensors",
    head_rows.CAUSE: "without those rows of the head",
}


def _part(names: str) -> str:
    each = names.split(", ")
    if all("lora_" in name for name in each):
        return "one factor of low-rank updates"
    lower = any("embed" in name for name in each) and any(".layers." in name for name in each)
    return "lower layers" if lower else "some tensors"


_TELLING: Mapping[str, Callable[[str], str]] = {
    "untrained-part": _part,
    "label-smoothing": lambda what: "another share" if what[0].isdigit() else what,
}
"""What tells one from another of its cause, with no measured number in it."""


def instead(other: OtherModel) -> Cause:
    """The cause that a step is explained by."""
    left = other.observed.residual
    kind = f"{other.cause}: {_TELLING.get(other.cause, str)(other.what)}"
    line = f"per-token gradients {_BY[other.cause]} leave a residual of {left:.2g}"
    return Cause(other.cause, _SUMMARY[other.cause](other.what), line, left, kind)
