"""What a check says, as data: codes, places, numbers. Words for people are made from these in `reports`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CODES: Mapping[str, str] = {
    "inputs.token-ids": "the model received other tokens than the scenario's rows",
    "inputs.loss-mask": "other tokens were marked for training than the responses",
    "inputs.positions": "positions do not restart with each conversation",
    "inputs.attention": "a conversation can attend to another one, or not to all of itself",
    "inputs.batch": "the global batch of a step does not hold the rows it should: missing, repeated or foreign",
    "inputs.epoch": "a run that goes on from a checkpoint ended without training the epoch that comes next",
    "inputs.order": "rows that are to be shuffled come in the given order, or in that of the epoch before, or not by"
    " length where they are to",
    "inputs.noise": "noise of the embedding is missing, of another size, the same each time, or not asked for",
    "inputs.packing": "packed sequences are too long, or a step has more or fewer of them than it should",
    "loss.value": "the reported loss is not the loss of the global batch",
    "grad-norm.value": "the reported gradient norm is not that of the right gradient before clipping",
    "learning-rate.value": "the reported learning rate is not the one that the parameters moved with",
    "weights.dropped-micro-batches": "micro-batches never reached the optimizer",
    "weights.mean-of-means": "means were averaged, so a token's weight depends on the length of its neighbours",
    "weights.aggregation": "all tokens weigh alike, though their losses are to be averaged in parts, or as given",
    "weights.objective": "tokens weigh by another objective than the one that is asked for",
    "weights.scale": "the whole gradient is off by one factor",
    "weights.mask": "tokens were trained that should not be, or the other way round",
    "weights.uneven": "token weights differ from the right ones in a way no known cause explains",
    "weights.auxiliary": "the load-balancing loss of a router has another weight than it should",
    "weights.residual": "a part of the gradient cannot come from the tokens of the batch",
    "update.learning-rate": "a tensor was updated with another learning rate than the schedule's",
    "update.weight-decay": "a tensor was decayed by another amount than it should be",
    "update.clip": "the gradient was not clipped as it should be",
    "update.moments": "the optimizer's moments do not follow from its gradients by the scenario's betas and eps",
    "update.overflow": "a step whose gradient overflows in float16 was made, or one was skipped that does not",
    "state.rank-desync": "data-parallel ranks hold different parameters",
    "state.initial": "the run did not begin with the checkpoint's parameters",
    "state.frozen": "parameters moved that are not to be trained",
    "numerics.dtype": "the gradient carries the rounding of a coarser dtype than the scenario's",
    "numerics.non-finite": "a recorded number is NaN or infinite",
    "accepted.gone": "a divergence that accepted.toml lists was not found any more",
    "run.crashed": "the run did not end by itself",
    "run.incomplete": "the trace lacks something that a check needs",
    "run.unreadable": "the trace cannot be read or was changed after it was written",
}

CAUSES: Mapping[str, str] = {
    "batch-composition": "the optimizer step was made of other rows than it should be",
    "mixture": "one of several datasets is lost, comes twice, or has another share than it should",
    "noise": "the noise that training adds to the embedding is missing, of another size, repeated, or not asked for",
    "packing": "rows are lost, or come twice, where they are packed into sequences",
    "epoch-end": "the end of an epoch is not made of the rows that it should be, or not a step of its own",
    "resume": "a run that goes on from a checkpoint did not take all of it",
    "epoch-order": "rows that are to be shuffled anew in each epoch, or grouped by length, are not",
    "tokenization": "the framework made other tokens of the text",
    "loss-mask": "other tokens are trained than the responses",
    "positions": "positions do not restart with each packed conversation",
    "attention-leak": "packed conversations see each other",
    "dropped-micro-batches": "micro-batches never reach the optimizer",
    "mean-of-means": "parts of the batch are averaged by themselves, then their means",
    "loss-in-pieces": "the loss is computed in pieces, which are averaged by themselves or count what is ignored",
    "first-shape": "what lies behind the length of the first micro-batch is not trained",
    "aggregation": "the losses are averaged over all tokens, though something else is intended",
    "objective": "preferences or rewards are made into weights otherwise than the objective says",
    "gradient-scale": "the whole gradient is off by one factor",
    "clipping": "the gradient is not clipped, or not the whole one",
    "uneven-weights": "token weights are off in a way that no known cause makes",
    "auxiliary-loss": "the load-balancing loss of a router is missing, or of another size",
    "coarse-dtype": "gradients are computed or accumulated in a coarser dtype",
    "stale-gradient": "gradients are not set to zero between steps",
    "coupled-decay": "weight decay is added to the gradient instead of the update",
    "tied-gradient": "the embedding is the head as well, but its gradient lacks one of the two parts",
    "padding-embedding": "the embedding of the token that pads is frozen, though it is read as a token too",
    "vocabulary-rows": "rows of the head are left out of the softmax, or are not trained",
    "soft-cap": "a soft cap of the model is left out",
    "token-weight": "the loss of each token is multiplied by its probability, or is not, and should be otherwise",
    "label-smoothing": "labels are smoothed otherwise than they should be",
    "lora-scale": "low-rank updates are multiplied by something else than their scale",
    "stale-parameters": "forward and backward passes have the parameters of the step before",
    "labels-unshifted": "labels are not shifted: each position learns its own token, not the next one",
    "nothing-trained": "the optimizer holds other parameters than the model, so that nothing moves",
    "untrained-part": "a part that should be trained has no gradient",
    "frozen-moved": "parameters that are not to be trained moved",
    "unexplained-gradient": "a part of the gradient comes from something other than the tokens of the batch",
    "learning-rate-schedule": "the learning rate does not follow the schedule",
    "weight-decay": "some tensors are decayed by another amount",
    "optimizer-moments": "Adam runs with other betas or another eps",
    "bias-correction": "Adam counts a step that was none",
    "loss-scaling": "steps whose gradient overflows in float16 are made, or others are skipped",
    "replicas-apart": "groups of ranks that each hold all shards are not averaged with each other",
    "decayed-before-training": "weight decay was applied once before the training",
    "initial-weights": "the training began with other parameters than the checkpoint's",
    "rank-desync": "data-parallel ranks train models of their own",
    "misreported": "the step is right, and what is reported of it is not",
}
"""What a diagnosis may name."""

UNKNOWN_CODES = frozenset({"numerics.non-finite", "run.crashed", "run.incomplete", "run.unreadable"})
"""Codes that leave a cell `unknown`: nothing was proved, in either direction."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, where, and by how much."""

    code: str
    """A key of `CODES`."""
    message: str
    """One line: what, where, got, expected, allowed."""
    step: int | None = None
    """Optimizer step, from 0."""
    rank: int | None = None
    micro_batch: int | None = None
    tensor: str | None = None
    observed: float | str | None = None
    expected: float | str | None = None
    tolerance: float | None = None
    tolerance_source: str | None = None
    """Where the tolerance comes from, such as `floor of this step x margin`."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What only this code has, as JSON types: `dropped`, `kept`, `level`, `factor`, ... Written beside the rest."""


@dataclass(frozen=True)
class Diagnosis:
    """One cause for several findings."""

    cause: str
    """A key of `CAUSES`."""
    summary: str
    """A sentence that a stranger understands."""
    explains: float
    """Share of the deviation between observed and right gradient that this cause alone or with the others above
    reproduces, in [0, 1]."""
    codes: tuple[str, ...]
    """Codes of the findings that follow from this cause."""
    evidence: str
    """The numbers behind it, in one line."""
    upstream: str | None = None
    """What is known of it: since which release, until which, links."""
    remedy: str | None = None
    """What to do."""
    kind: str = ""
    """The cause with what tells it from another of that name, such as `dropped-micro-batches: 1, 2 of 4`. It holds no
    measured number, so that it is the same wherever the same thing is wrong. The cause alone where none is given."""
    measured: tuple[str, ...] = ()
    """What was measured of the cause, by every name that it has in this scenario: `micro-batch` and, on one rank,
    `micro-step`. What is known upstream is matched by it; it is not written into the verdict. What `kind` tells of the
    cause where none is given."""

    def __post_init__(self) -> None:
        """Raises ValueError for a cause that nobody could look up."""
        if self.cause not in CAUSES:
            raise ValueError(f"{self.cause!r} is no cause that is known here")
        object.__setattr__(self, "kind", self.kind or self.cause)
        if not self.measured and self.kind != self.cause:
            object.__setattr__(self, "measured", (self.kind.removeprefix(f"{self.cause}: "),))
