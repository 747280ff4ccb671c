"""What is wrong with an objective, in words: by the names of `harness.oracle.variants`."""

from __future__ import annotations

from collections.abc import Mapping

OBJECTIVES: Mapping[str, str] = {
    "raw-rewards": "advantages are the rewards themselves: the mean of their group is not taken off",
    "batch-baseline": "the mean of all rewards is taken off, not that of the group",
    "other-group": "the mean and deviation of another group are taken",
    "rows-of-another-group": "completions have the advantages of another group's",
    "leave-one-out": "the mean that is taken off is that of the group's other completions",
    "population-deviation": "advantages are divided by the deviation of a population (ddof 0), not of a sample",
    "deviation-plus-1e-4": "1e-4 is added to the standard deviation that advantages are divided by",
    "deviation-plus-1e-6": "1e-6 is added to the standard deviation that advantages are divided by",
    "deviation-plus-1e-8": "1e-8 is added to the standard deviation that advantages are divided by",
    "other-scale": "advantages are divided by the deviation of their group, or are not, and should be otherwise",
    "unclipped": "the ratio is not clipped",
    "clip-the-other-side": "the larger of the clipped and the plain gain counts, so that what should be clipped is not",
    "clipped-alike": "the ratio is clipped above as it is below",
    "ratio-of-one": "the ratio is one: what had sampled the completions is taken to be the model itself",
    "other-ratio": "the ratio is that of the completion instead of the token, or the other way round",
    "divergence-twice": "the KL term counts twice",
    "divergence-left-out": "the KL term is left out, or its reference is the model itself",
    "divergence-subtracted": "the KL term has the other sign",
    "divergence-k1": "the KL term is the log ratio (k1)",
    "divergence-k2": "the KL term is half the square of the log ratio (k2)",
    "divergence-k3": "the KL term is estimated as in arXiv 2402.03300 (k3)",
    "reference-drifts": "the reference moves along with the model",
    "truncated-counted": "completions that are masked, as they do not end, count in what is divided by",
    "truncated-trained": "completions that do not end are trained, though they are to be masked",
    "mean-log-ratios": "the log ratio of a row is the mean over its tokens and not their sum, or the other way round",
    "sigmoid-for-square": "the loss of a pair is that of a sigmoid (DPO) and not a square (IPO)",
    "reference-left-out": "the reference model is left out",
    "preferences-unsmoothed": "preferences are not smoothed",
    "pairs-swapped": "the rejected row counts as the chosen one",
    "sft-left-out": "the loss of chosen rows or demonstrations by themselves is left out",
    "demonstrations-as-samples": "demonstrations have the ratio of completions that the model had sampled",
}
