"""Parts of an intent in words."""

from __future__ import annotations

from harness.intent.intent import Aggregation, Mean, Sum
from harness.intent.objective import Level, Policy, Preferences

_LEVELS: dict[Level, str] = {
    "token": "a mean over the tokens of the window",
    "micro-batch": "a mean over the micro-batches, each averaged by itself",
    "rank": "a mean over the ranks, each averaged by itself",
    "micro-step": "a mean over the micro-steps, each averaged over all ranks by itself",
    "row": "a mean over the sequences, each averaged by itself",
}


def told(aggregation: Aggregation) -> str:
    """How losses are aggregated."""
    if isinstance(aggregation, Mean):
        return _LEVELS[aggregation.over]
    if isinstance(aggregation, Sum):
        return f"a sum over the tokens, divided by {aggregation.constant:g}"
    if isinstance(aggregation, Preferences):
        return f"preferences of pairs ({aggregation.form}, beta {aggregation.beta:g})"
    if isinstance(aggregation, Policy):
        over = f"rows of {aggregation.constant} tokens each" if aggregation.constant else _LEVELS[aggregation.over]
        return f"rewards of completions ({aggregation.advantage} advantages), {over}"
    return "a sum over the tokens with the weight that is given for each"
