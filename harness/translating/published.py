"""An objective in words, each part with where it was published."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.contract import Objective

PREFERENCES = {  # D: the difference of both rows' log ratios, each the sum or the mean of its tokens'
    "sigmoid": "of a pair -log sigmoid(beta D), by sums (Rafailov and others 2023, arXiv 2305.18290, equation 7)",
    "sigmoid-mean": "of a pair -log sigmoid(beta D), by means",
    "ipo": "of a pair (D - 1/(2 beta))^2, by sums (Azar and others 2023, arXiv 2310.12036, equation 17)",
    "ipo-mean": "of a pair (D - 1/(2 beta))^2, by means (arXiv 2310.12036, equation 17, which has sums)",
}
ADVANTAGES = {
    "group": "advantage: reward less the mean of its group (Liu and others 2025, arXiv 2503.20783)",
    "group-std": "advantage: that over the group's standard deviation (Shao and others 2024, arXiv 2402.03300)",
    "given": "advantage: the reward itself",
}
NORMALISERS = {
    "token": "mean over the step's tokens (Yu and others 2025, arXiv 2503.14476, equation 8)",
    "row": "mean over completions of each one's mean (arXiv 2402.03300, equation 3)",
    "constant": "a completion counts as a constant number of tokens (arXiv 2503.20783)",
}
RATIOS = {
    "token": "clipped ratio of tokens (Schulman and others 2017, arXiv 1707.06347, equation 7)",
    "sequence": "clipped ratio of completions (Zheng and others 2025, arXiv 2507.18071)",
}
DIVERGENCES = {
    "k1": "KL term k1, the log ratio",
    "k2": "KL term k2, half the squared log ratio",
    "k3": "KL term k3 (arXiv 2402.03300, equation 4)",
}


def sentences(objective: Objective) -> list[str]:
    """A part each."""
    return list(_preferences(objective) if objective.method == "dpo" else _rewards(objective))


def _preferences(wanted: Objective) -> Iterator[str]:
    yield f"{PREFERENCES[wanted.preference]}, beta {wanted.beta:g}"
    if wanted.reference == "none":
        yield "without a reference"
    if wanted.preference_smoothing:
        yield f"{wanted.preference_smoothing:g} of preferences count the other way round (Mitchell 2023)"
    if wanted.sft_coefficient:
        each = "the chosen row's mean loss (Pang and others 2024, arXiv 2404.19733)"
        yield f"and {wanted.sft_coefficient:g} times {each}"


def _rewards(wanted: Objective) -> Iterator[str]:
    yield ADVANTAGES[wanted.advantage]
    yield NORMALISERS[wanted.normaliser]
    yield f"{RATIOS[wanted.ratio]}, within {1 - wanted.clip_low:g} and {1 + wanted.clip_high:g}"
    if wanted.rollout_steps > 1:
        yield f"{wanted.rollout_steps} optimizer steps of a sampling"
    if wanted.beta:
        yield f"{DIVERGENCES[wanted.divergence]}, times {wanted.beta:g}"
    if wanted.truncated == "masked":
        yield "completions that do not end are not trained (arXiv 2503.14476)"
    if wanted.demonstrations:
        share = f"{wanted.demonstrations} of {wanted.group_size} rows"
        yield f"{share} are demonstrations, with a shaped ratio (Yan and others 2025, arXiv 2504.14945)"
