"""The objective of a scenario beyond supervised training: preferences, or rewards of completions that were sampled."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from adapters.contract.checking import require
from adapters.contract.data import Data
from adapters.contract.loss import Loss
from adapters.contract.window import Window

MOST = 1e6
"""Of a reward, and of every coefficient."""

Method = Literal["sft", "dpo", "grpo"]
Preference = Literal["sigmoid", "sigmoid-mean", "ipo", "ipo-mean"]
Reference = Literal["initial", "none"]
Advantage = Literal["group", "group-std", "given"]
Normaliser = Literal["token", "row", "constant"]
Ratio = Literal["token", "sequence"]
Truncated = Literal["trained", "masked"]
Divergence = Literal["k1", "k2", "k3"]


@dataclass(frozen=True)
class Objective:
    """`dpo`: rows come in pairs, the chosen one before the rejected one, and no pair is parted. `grpo`: a row is a
    completion that was sampled for its prompt, and `group_size` rows that follow each other are those of one prompt.

    Rafailov and others 2023 (arXiv 2305.18290, equation 7) for `dpo`; Shao and others 2024 (arXiv 2402.03300, equations
    3 and 4) and Schulman and others 2017 (arXiv 1707.06347, equation 7) for `grpo`.
    """

    method: Method = "sft"
    beta: float = 0.0
    """How much the policy is held to the reference: the beta of `dpo`, or what the KL term of `grpo` is times."""
    reference: Reference = "initial"
    """What it is held to: the model that training begins with, or nothing, its log-probabilities counting as 0."""
    preference: Preference = "sigmoid"
    """Of `dpo`: -log sigmoid(beta D), D the difference of both rows' log ratios; or (D - 1/(2 beta))^2 (Azar and others
    2023, arXiv 2310.12036, equation 17). The log ratio of a row is the sum over its tokens, or their mean (`-mean`)."""
    preference_smoothing: float = 0.0
    """Share of pairs whose preference counts the other way round, with `sigmoid` (Mitchell 2023)."""
    sft_coefficient: float = 0.0
    """Times this is added: of `dpo` the mean over pairs of the chosen row's mean loss (Pang and others 2024, arXiv
    2404.19733), of `grpo` the mean over demonstrations of each one's mean loss."""
    group_size: int = 1
    """Of `grpo`: completions of a prompt."""
    rewards: tuple[float, ...] = ()
    """Of `grpo`: one for each row."""
    advantage: Advantage = "group"
    """Reward less the mean of its group; over the group's standard deviation (of a sample: ddof 1) as well; or the
    reward itself."""
    normaliser: Normaliser = "token"
    """What the sum over tokens is divided by: the trained tokens of a step (Yu and others 2025, arXiv 2503.14476,
    equation 8); the tokens of the row, and the rows of the step (arXiv 2402.03300); or the rows times
    `normaliser_constant` (Liu and others 2025, arXiv 2503.20783)."""
    normaliser_constant: int = 1
    """Tokens that a row counts as with normaliser `constant`."""
    ratio: Ratio = "token"
    """Of probabilities now and when it was sampled: of the token, or of its row, the mean of log ratios
    (Zheng and others 2025, arXiv 2507.18071)."""
    clip_low: float = 0.2
    clip_high: float = 0.2
    """The ratio counts within 1 - clip_low and 1 + clip_high."""
    rollout_steps: int = 1
    """Optimizer steps that are made of one sampling: the parameters before the first of them had sampled."""
    truncated: Truncated = "trained"
    """Whether completions that do not end, as `data.max_length` cuts them, are trained. Those that are not count as
    rows, and their tokens do not count."""
    demonstrations: int = 0
    """Of `grpo`: the first so many rows of each group were not sampled, but come from elsewhere."""
    shaping: float = 0.1
    """In the place of their ratio stands p / (p + shaping), p a token's probability, and it is not clipped (Yan and
    others 2025, arXiv 2504.14945)."""
    divergence: Divergence = "k3"
    """Of the KL term: log ratio (k1), half its square (k2), or the estimator of arXiv 2402.03300, equation 4."""

    @property
    def rows_together(self) -> int:
        """Rows that follow each other and belong together."""
        return {"sft": 1, "dpo": 2, "grpo": self.group_size}[self.method]

    @property
    def refers(self) -> bool:
        """Whether the loss asks what the reference model gives to tokens."""
        return self.method != "sft" and self.reference == "initial" and self.beta > 0

    def check(self, data: Data, window: Window, loss: Loss) -> None:
        """Raises ValueError, in one line."""
        method = self.method
        for name, value in vars(self).items():
            unused = value != getattr(Objective, name) and name not in _USED[method]
            require(not unused, f"objective.{name}", "given", f"given with objective.method {method!r}")
        if method == "sft":
            return
        told = data.row_format == "conversation" and data.trained == "responses"
        plain = told and not data.packs and not data.parts
        require(
            plain, "objective.method", method, "sft where rows are packed, mixed, or trained beyond their responses"
        )
        require(loss == Loss(), "loss", "changed", f"as it is by default with objective.method {method!r}")
        tokens, resumed = window.micro_batch_tokens, window.resume_after
        require(tokens is None, "window.micro_batch_tokens", tokens, f"none with {method}, whose rows belong together")
        require(window.last_window == "partial", "window.last_window", window.last_window, f"partial with {method}")
        require(not resumed, "window.resume_after", resumed, f"0 with {method}")
        each, rows = self.rows_together, len(data.rows)
        if method == "grpo":
            require(1 <= each <= rows, "objective.group_size", each, f"1 to {rows}, of which there are")
        require(rows % each == 0, "data.rows", f"{rows} long", f"a multiple of the {each} that belong together")
        require(self.rollout_steps >= 1, "objective.rollout_steps", self.rollout_steps, "at least 1")
        for name in ("beta", "sft_coefficient", "clip_high", "shaping"):
            value = getattr(self, name)
            require(0 <= value <= MOST, f"objective.{name}", value, f"0 to {MOST:g}")
        (self._check_pairs if method == "dpo" else self._check_rewards)(data, window)

    def _check_pairs(self, data: Data, window: Window) -> None:
        require(self.beta > 0, "objective.beta", self.beta, "above 0 with dpo")
        size = window.micro_batch_size
        require(size % 2 == 0, "window.micro_batch_size", size, "of whole pairs with dpo")
        share = self.preference_smoothing
        require(0 <= share < 0.5, "objective.preference_smoothing", share, "0 to less than 0.5")
        smoothed = not share or self.preference.startswith("sigmoid")
        require(smoothed, "objective.preference_smoothing", share, f"0 with preference {self.preference}")
        require(data.order == "given", "data.order", data.order, "given with dpo, whose pairs stay together")

    def _check_rewards(self, data: Data, _: Window) -> None:
        given, rows = len(self.rewards), len(data.rows)
        require(given == rows, "objective.rewards", f"{given} long", f"one for each of {rows} rows")
        worst = max(map(abs, self.rewards), default=0.0)
        finite = all(map(math.isfinite, self.rewards)) and worst <= MOST
        require(finite, "objective.rewards", "beyond all bounds somewhere", f"within {MOST:g} of 0")
        spread = self.advantage != "group-std" or self.group_size > 1
        require(spread, "objective.advantage", self.advantage, "another one in groups of one")
        require(self.normaliser_constant >= 1, "objective.normaliser_constant", self.normaliser_constant, "at least 1")
        require(0 < self.clip_low <= 1, "objective.clip_low", self.clip_low, "above 0 to 1")
        require(self.clip_high > 0, "objective.clip_high", self.clip_high, "above 0")
        held = self.reference == "initial" or not self.beta
        require(held, "objective.beta", self.beta, "0 where the model is held to nothing")
        fewer = 0 <= self.demonstrations < self.group_size
        require(fewer, "objective.demonstrations", self.demonstrations, f"0 to {self.group_size - 1} of a group")
        alone = not self.demonstrations or self.ratio == "token"
        require(alone, "objective.demonstrations", self.demonstrations, "0 with ratio sequence")
        require(self.shaping > 0, "objective.shaping", self.shaping, "above 0")
        trained = self.demonstrations > 0 or not self.sft_coefficient
        require(trained, "objective.sft_coefficient", self.sft_coefficient, "0 without demonstrations")


_OF_PAIRS = {"method", "beta", "reference", "preference", "preference_smoothing", "sft_coefficient"}
_USED = {
    "sft": {"method"},
    "dpo": _OF_PAIRS,
    "grpo": {one.name for one in fields(Objective)} - {"preference", "preference_smoothing"},
}
"""Fields that count with each method."""
