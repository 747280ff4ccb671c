"""Faults of objectives beyond supervised training: preferences, and rewards of completions. Standard library only."""

from __future__ import annotations

import math
import statistics

from adapters.contract import Scenario
from adapters.fault import Fault, both
from adapters.plan import Plan

_OTHER = ("weights.objective",)


def _rewards(scenario: Scenario) -> str | None:
    if scenario.objective.method != "grpo":
        return "no rewards are trained"
    return "advantages are the rewards" if scenario.objective.advantage == "given" else None


def _groups(scenario: Scenario) -> list[tuple[float, float]]:
    """Of each group the mean of its rewards, and what their distance from that is divided by; 0 and 0 where all of its
    advantages are 0 whatever the mean."""
    wanted, each = scenario.objective, scenario.objective.group_size
    groups = [wanted.rewards[at : at + each] for at in range(0, len(wanted.rewards), each)]
    if wanted.advantage != "group-std":
        return [(statistics.fmean(group), 1.0) for group in groups]
    told = [(statistics.fmean(group), statistics.stdev(group)) for group in groups]
    return [(mean, spread) if spread else (0.0, 0.0) for mean, spread in told]


def _centred(scenario: Scenario) -> str | None:
    return None if any(mean for mean, _ in _groups(scenario)) else "the mean of every group is 0"


def _other_groups(scenario: Scenario) -> str | None:
    return None if len(set(_groups(scenario))) > 1 else "all groups have the same mean and deviation"


def _other_means(scenario: Scenario) -> str | None:
    whole = statistics.fmean(scenario.objective.rewards)
    apart = any(spread and not math.isclose(mean, whole, abs_tol=1e-12) for mean, spread in _groups(scenario))
    return None if apart else "all groups have the same mean"


def _spread(scenario: Scenario) -> str | None:
    rewards, each = scenario.objective.rewards, scenario.objective.group_size
    apart = any(reward != rewards[at - at % each] for at, reward in enumerate(rewards))
    return None if apart else "no group has a deviation"


def _pairs(scenario: Scenario) -> str | None:
    return None if scenario.objective.method == "dpo" else "no pairs are trained"


def _stale(scenario: Scenario) -> str | None:
    again = min(scenario.objective.rollout_steps, scenario.window.steps)
    return None if again > 1 else "every step samples anew, so that all ratios are one"


def _diverges(scenario: Scenario) -> str | None:
    wanted = scenario.objective
    return None if wanted.method == "grpo" and wanted.refers else "there is no KL term"


def _refers(scenario: Scenario) -> str | None:
    return None if scenario.objective.refers else "the model is held to no reference"


def _moves(scenario: Scenario) -> str | None:
    pulls = scenario.objective.divergence == "k1"  # by as much whatever the reference is
    return None if pulls or scenario.window.steps > 1 else "in the first step the model is its reference"


def _pulls(scenario: Scenario) -> str | None:
    whatever = scenario.objective.method == "grpo" and scenario.objective.divergence == "k1"
    return "the log ratio has the same slope whatever the reference is" if whatever else None


def _samples_again(scenario: Scenario) -> str | None:
    again = scenario.window.steps > scenario.objective.rollout_steps
    return None if again else "until it samples again, the model that samples is the reference"


def _masks(scenario: Scenario) -> str | None:
    limit = scenario.data.max_length
    cut = limit is not None and any(scenario.tokens(row) > limit for row in scenario.data.rows)
    return None if scenario.objective.truncated == "masked" and cut else "no completion is masked"


def _counts_tokens(scenario: Scenario) -> str | None:
    return None if scenario.objective.normaliser == "token" else "tokens are not counted over rows"


def _smooths(scenario: Scenario) -> str | None:
    return None if scenario.objective.preference_smoothing else "no preferences are smoothed"


def _squares(scenario: Scenario) -> str | None:
    return None if scenario.objective.preference.startswith("ipo") else "no square is trained"


def _shows(scenario: Scenario) -> str | None:
    return None if scenario.objective.demonstrations else "all completions were sampled"


def _trains_beside(scenario: Scenario) -> str | None:
    return None if scenario.objective.sft_coefficient else "no row is trained for itself"


FAULTS = (
    Fault("raw-rewards", "the mean of their group is not taken off the rewards",
          Plan(objective="raw-rewards"), _OTHER, "objective", both(_rewards, _centred)),
    Fault("baseline-of-another-group", "the mean of another group is taken off the rewards",
          Plan(objective="other-group"), _OTHER, "objective", both(_rewards, _other_groups)),
    Fault("baseline-of-all-rewards", "the mean of all rewards is taken off, not that of the group",
          Plan(objective="batch-baseline"), _OTHER, "objective", both(_rewards, _other_means)),
    Fault("advantages-scaled-otherwise", "advantages are divided by their group's deviation, or are not, and should be"
          " otherwise", Plan(objective="other-scale"), _OTHER, "objective", both(_rewards, _spread)),
    Fault("ratio-unclipped", "the ratio of probabilities is not clipped",
          Plan(objective="unclipped"), _OTHER, "objective", _stale),
    Fault("ratio-clipped-on-the-wrong-side", "the larger of the clipped and the plain gain counts",
          Plan(objective="clip-the-other-side"), _OTHER, "objective", _stale),
    Fault("ratio-of-one", "completions count as sampled by the model as it is, so that every ratio is one",
          Plan(objective="ratio-of-one"), _OTHER, "objective", _stale),
    Fault("ratio-of-the-other-kind", "the ratio is that of the whole completion instead of the token, or the other way"
          " round", Plan(objective="other-ratio"), _OTHER, "objective", _stale),
    Fault("divergence-twice", "the KL term counts twice",
          Plan(objective="divergence-twice"), _OTHER, "objective", both(_diverges, _moves)),
    Fault("divergence-left-out", "the KL term is left out",
          Plan(objective="divergence-left-out"), _OTHER, "objective", both(_diverges, _moves)),
    Fault("divergence-subtracted", "the KL term has the other sign",
          Plan(objective="divergence-subtracted"), _OTHER, "objective", both(_diverges, _moves)),
    Fault("reference-drifts", "the reference moves along with the model: it is what samples the completions, and with"
          " pairs the model before each step",
          Plan(objective="reference-drifts"), _OTHER, "objective", both(_refers, _pulls, _samples_again)),
    Fault("truncated-counted", "completions that are masked count in what is divided by",
          Plan(objective="truncated-counted"), ("weights.scale", "grad-norm.value"), "gradient-scale",
          both(_masks, _counts_tokens)),
    Fault("pairs-swapped", "the rejected row counts as the chosen one",
          Plan(objective="pairs-swapped"), _OTHER, "objective", _pairs),
    Fault("log-ratios-averaged", "the log ratio of a row is the mean over its tokens and not their sum, or the other"
          " way round", Plan(objective="mean-log-ratios"), _OTHER, "objective", _pairs),
    Fault("sigmoid-for-square", "the loss of a pair is that of a sigmoid where a square is meant",
          Plan(objective="sigmoid-for-square"), _OTHER, "objective", both(_pairs, _squares)),
    Fault("reference-left-out", "log-probabilities are held against nothing",
          Plan(objective="reference-left-out"), _OTHER, "objective", both(_pairs, _refers)),
    Fault("demonstrations-as-samples", "demonstrations have the ratio of completions that the model had sampled",
          Plan(objective="demonstrations-as-samples"), _OTHER, "objective", _shows),
    Fault("sft-left-out", "the loss of chosen rows or demonstrations by themselves is left out",
          Plan(objective="sft-left-out"), _OTHER, "objective", _trains_beside),
    Fault("preferences-unsmoothed", "preferences are not smoothed",
          Plan(objective="preferences-unsmoothed"), _OTHER, "objective", both(_pairs, _smooths)),
)  # fmt: skip
