"""Sentences that are the same of several frameworks, so that what is alike in both is not told as a difference."""

from __future__ import annotations


def added(eps: str) -> str:
    """Of the standard deviation."""
    return f"{eps} is added to the deviation of a group"


BATCH_DEVIATION = "advantages are over the deviation of all rewards of a sampling, not of their group"
LEAVE_ONE_OUT = "the mean that is taken off is that of the group's other completions: n / (n - 1) times as much"
MICRO_MEANS = "the mean of micro-batches' means over tokens, not the mean over the step's tokens"
WINDOWS_AVERAGE = "tokens of a step count as the mean of all steps of the sampling has them, not as the step has them"
KL_TIMES_RATIO = "the KL term is times the ratio to what had sampled, so that its gradient is another"
KL_TOKEN_MEAN = "the KL term is averaged over the step's tokens, whatever the policy's term is divided by"
KL_REWARD = "the KL to the reference is taken off the rewards, token by token, and so is a part of the advantages"
ENTROPY = {
    "token": "the entropy is averaged over the step's tokens",
    "row": "the entropy is averaged over each completion, and then over completions",
    "constant": "the entropy of a completion is divided by a constant, and then averaged over completions",
    "micro-batch": "the entropy is averaged over a micro-batch's tokens, and then over micro-batches",
}
"""By what it is divided by."""
ENTROPY_MOVES = "the coefficient of the entropy is moved as the entropy changes"
MISMATCH = "tokens are weighed or left out by what the inference engine had given them (a correction of its mismatch)"
REFERENCE_MOVES = "the reference follows the policy"
REWARDS_CHANGED = "rewards are changed before advantages are made of them"
SAMPLES_DROPPED = "groups are left out by their rewards, before they are trained"
SFT_OF_TOKENS = "the chosen rows' own loss is the mean over the tokens of a micro-batch, not of each row first"
LENGTH = "also what generation stops at: no longer completion is sampled"
