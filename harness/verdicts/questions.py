"""Questions that a judgement may leave open: what could not be asked of a run at all. Words for them, for every face.

An open question is no failed check: a cell may pass with some, and says so. One that could have been asked, and was not
answered, is a finding of its own (`run.incomplete`).
"""

from __future__ import annotations

from collections.abc import Mapping

ELSEWHERE = "weights.residual over all parameters"
ATTENTION = "attention inside the model"
POSITIONS = "positions inside the model"
TOKENS = "weights of tokens with short gradients"
NORM = "norm of the right gradient"
REDUCTION = "dtype of reduction"
GROUPING = "rows grouped by length"
LEFT_OUT = "optimizer steps of experts without a token, which were left out"
DEVICE = "floors of the device"

OPEN: Mapping[str, str] = {
    ELSEWHERE: "whether the batch's tokens explain the gradient of every tensor; the output head's was asked alone",
    ATTENTION: "whether conversations see each other, whatever mask the model received",
    POSITIONS: "whether the model counts positions as it received them",
    TOKENS: "what those tokens weigh that the model is so sure of that their gradients are lost in rounding",
    NORM: "how long the right gradient is, and so its clip coefficient; estimated, for the recorded one is no multiple"
    " of it",
    REDUCTION: "what gradients were reduced over the ranks in, of which their sums over micro-batches keep no trace",
    GROUPING: "whether rows of about one length come together: of so few, or so alike, shuffled ones may as well",
    LEFT_OUT: "whether an expert that no token is routed to has no gradient, so that torch leaves it out of the step,"
    " as was done, or one of zeros, by which it moves on with its momentum and decays; a run that does so is right too",
    DEVICE: "how far a right step may be off on that card: its floor was simulated on a CPU, and nobody has measured"
    " on the card that right ones stay within the margin of it, as `make gpu-check` does",
}
