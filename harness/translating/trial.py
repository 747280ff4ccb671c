"""The objective run small by two releases: the scenario that it is run on."""

from __future__ import annotations

from pathlib import Path

import tomli_w

import scenarios
from adapters.contract import Scenario, vary
from harness import files
from harness.session.plan import Choice
from harness.translating.meaning import Meaning
from scenarios.files import SUFFIX, content

MOST_TIMES = 2
"""Mini-batches of a sampling, and passes over it, in the small run."""
FAST = 3e-3
"""Learning rate with which ratios come to be clipped in a few steps."""
CONSTANT = 32
"""Tokens that a completion counts as: about as long as they are in the small run."""


def scenario(meaning: Meaning) -> Scenario:
    """The rows of a scenario of the catalogue with this objective, of which nothing clips the gradient, so that a wrong
    scale shows."""
    wanted = meaning.objective
    if wanted.method == "dpo":
        base = scenarios.get("dpo-ragged")
        told = {name: getattr(wanted, name) for name in _DPO}
        return vary(base, name="translated-dpo", max_grad_norm=None, **told)
    return vary(_sampled(meaning), name="translated-grpo", max_grad_norm=None)


_DPO = ("beta", "reference", "preference", "preference_smoothing", "sft_coefficient")
_GRPO = ("beta", "reference", "advantage", "normaliser", "ratio", "clip_low", "clip_high", "truncated", "divergence")


def _sampled(meaning: Meaning) -> Scenario:
    wanted, base = meaning.objective, scenarios.get("grpo-token")
    passes = min(meaning.sizes.passes if meaning.sizes else 1, MOST_TIMES)
    batches = min(wanted.rollout_steps // (meaning.sizes.passes if meaning.sizes else 1), MOST_TIMES)
    told = {name: getattr(wanted, name) for name in _GRPO}
    if wanted.normaliser == "constant":
        told["normaliser_constant"] = CONSTANT
    if wanted.group_size == 1:
        told["group_size"] = 1
    made = batches * passes
    if made > 1:
        told |= {"learning_rate": FAST, "rollout_steps": made, "steps": made, "epochs": passes}
    if made > 1 and batches == 1:
        rows = base.rows_per_step
        told |= {"rows": base.data.rows[:rows], "rewards": base.objective.rewards[:rows]}
    return vary(base, **told)


def smaller(meaning: Meaning) -> list[str]:
    """What of it is otherwise in the small run, a sentence each."""
    wanted, ran = meaning.objective, scenario(meaning).objective
    if wanted.method == "dpo":
        return []
    told = [f"groups of {ran.group_size}"] if ran.group_size != wanted.group_size else []
    if ran.rollout_steps != wanted.rollout_steps:
        told.append(f"{ran.rollout_steps} optimizer steps of a sampling")
    if wanted.normaliser == "constant":
        told.append(f"a constant of {ran.normaliser_constant} tokens")
    if meaning.temperature != 1:
        told.append("a temperature of 1")
    if meaning.entropy:
        told.append("no entropy term")
    return told


def choice(meaning: Meaning, folder: Path) -> Choice:
    """As a run takes it: by the file of `write`."""
    made = scenario(meaning)
    return Choice(made.name, made.seed, made, str(_file(made, folder)))


def write(meaning: Meaning, folder: Path) -> None:
    """The scenario as a file, which `lockstep run --scenario` reads. Raises OSError."""
    made = scenario(meaning)
    files.replace(_file(made, folder), tomli_w.dumps(content(made)))


def _file(made: Scenario, folder: Path) -> Path:
    return folder / f"{made.name}{SUFFIX}"
