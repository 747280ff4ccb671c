"""Objectives beyond a mean of the tokens' losses: preferences of pairs, and rewards of sampled completions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from harness.intent.schedule import MOST, STRICT, Many, require

Level = Literal["token", "micro-batch", "rank", "micro-step", "row"]
"""What is averaged by itself before the mean over all of them is taken; for `token`, nothing is."""
Form = Literal["sigmoid", "sigmoid-mean", "ipo", "ipo-mean"]
Advantage = Literal["group", "group-std", "given"]
Divergence = Literal["k1", "k2", "k3"]
Coefficient = Annotated[float, Field(ge=0, le=1e6)]
Rows = Many[Annotated[int, Field(ge=0, le=MOST)]]


@dataclass(frozen=True, config=STRICT)
class Preferences:
    """The mean over pairs of rows, the chosen one before the rejected one, of how little the policy prefers it.

    With D the difference of both rows' log ratios to the reference: -log sigmoid(beta D) (Rafailov and others 2023,
    arXiv 2305.18290, equation 7); or (D - 1 / (2 beta))^2 (Azar and others 2023, arXiv 2310.12036, equation 17).
    """

    beta: Annotated[float, Field(gt=0, le=1e6)]
    form: Form = "sigmoid"
    """`-mean`: the log ratio of a row is the mean over its tokens, not the sum."""
    smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Share of pairs whose preference counts the other way round, with a sigmoid."""
    reference: bool = True
    """Whether log-probabilities are held against those of the model that training began with."""
    sft_coefficient: Coefficient = 0.0
    """Of the mean over pairs of the chosen row's mean loss, which is added (Pang and others 2024, arXiv 2404.19733)."""
    kind: Literal["preferences"] = "preferences"

    def __post_init__(self) -> None:
        told = not self.smoothing or self.form.startswith("sigmoid")
        require(told, "smoothing", self.smoothing, f"0 with {self.form}")


@dataclass(frozen=True, config=STRICT)
class Policy:
    """An average over tokens of -min(r A, clip(r) A) + beta KL (Schulman and others 2017, arXiv 1707.06347, equation 7;
    Shao and others 2024, arXiv 2402.03300, equation 3).

    r is the ratio of a token's probability to the one that it was sampled with, A the advantage of its row.
    """

    rewards: Many[Annotated[float, Field(ge=-1e12, le=1e12)]]
    """One for each row of the scenario."""
    group_size: Annotated[int, Field(ge=1, le=MOST)] = 1
    """Rows that follow each other and answer one prompt."""
    advantage: Advantage = "group"
    """Reward less the mean of its group; that over the group's standard deviation (ddof 1), 0 where they are all alike;
    or the reward."""
    over: Level = "token"
    """What is averaged by itself; a row that is masked is still a row."""
    constant: Annotated[int, Field(ge=1, le=MOST)] | None = None
    """Tokens that every row counts as, instead of `over` (Liu and others 2025, arXiv 2503.20783)."""
    ratio: Literal["token", "sequence"] = "token"
    """`sequence`: of a row, the mean of its log ratios (Zheng and others 2025, arXiv 2507.18071, equation 7)."""
    clip_low: Annotated[float, Field(gt=0, le=1)] | None = 0.2
    clip_high: Annotated[float, Field(gt=0, le=1e6)] | None = 0.2
    """The ratio counts within 1 - clip_low and 1 + clip_high; None: whatever it is."""
    every: Annotated[int, Field(ge=1, le=MOST)] = 1
    """Optimizer steps of one sampling, by the parameters before the first of them."""
    masked: Rows = ()
    """Rows of which no token is trained, nor counted."""
    tokens: Many[Annotated[int, Field(ge=0, le=MOST)]] = ()
    """Of each row's completion, if that is known: what trainers count wrongly can be named by them."""
    demonstrations: Annotated[int, Field(ge=0, le=MOST)] = 0
    """The first so many rows of each group were not sampled: p / (p + shaping) stands in the place of their ratio, and
    is not clipped (Yan and others 2025, arXiv 2504.14945)."""
    shaping: Annotated[float, Field(gt=0, le=1e6)] = 0.1
    sft_coefficient: Coefficient = 0.0
    """Of the mean over demonstrations of each one's mean loss, which is added."""
    beta: Coefficient = 0.0
    divergence: Divergence = "k3"
    """KL term to the model that training began with: log ratio, half its square, or what arXiv 2402.03300 has in
    equation 4."""
    kind: Literal["policy"] = "policy"

    def __post_init__(self) -> None:
        each = self.group_size
        known, rows = len(self.tokens), len(self.rewards)
        require(known in (0, rows), "tokens", known, f"one for each of {rows} rows, or none")
        require(self.demonstrations < each, "demonstrations", self.demonstrations, f"fewer than the {each} of a group")
        shown = self.demonstrations > 0
        require(not shown or self.ratio == "token", "ratio", self.ratio, "token with demonstrations")
        require(shown or not self.sft_coefficient, "sft_coefficient", self.sft_coefficient, "0 without demonstrations")
        spread = self.advantage != "group-std" or each > 1
        require(spread, "advantage", self.advantage, "another one in groups of one")
        require(all(row < rows for row in self.masked), "masked", "others", f"rows 0 to {rows - 1}")
        require(len(self.rewards) % each == 0, "rewards", len(self.rewards), f"whole groups of {each}")

    @property
    def refers(self) -> bool:
        """Whether it asks what the model that training began with gives to tokens."""
        return self.beta > 0


OBJECTIVES = (Preferences, Policy)
