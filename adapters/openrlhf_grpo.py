"""OpenRLHF's actor, as `openrlhf.cli.train_ppo_ray` starts one in every rank, on completions that are given.

Ray starts no processes here, for every rank is there already, and calls none of the actor's methods: they are called
as the trainer on top of it does (trainer/ppo_trainer.py). What vLLM would have answered is the scenario's rows.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NoReturn
from unittest.mock import patch

import torch
from packaging.version import Version

from adapters.contract import Job, Scenario, Shim
from adapters.families import openrlhf_shims, rollouts, shuffles
from adapters.families import openrlhf_trainer as trainer
from adapters.families.openrlhf_actor_flags import AGGREGATES, arguments
from adapters.families.openrlhf_trainer import Watched
from adapters.inside import completions
from adapters.inside.data import Tokens, load_rows
from adapters.inside.recorder import Recorder
from adapters.inside.stubs import stand_in

STOOD_IN = (
    *stand_in("ray", "OpenRLHF starts its actors by Ray; every rank is there already, and Ray is asked for nothing"),
    *stand_in("vllm", "OpenRLHF imports vLLM, whose builds need CUDA; nothing is sampled where completions are given"),
    *stand_in("PIL", "OpenRLHF imports Pillow for models that see (utils/vlm_utils.py); no row has images"),
)

import ray  # noqa: E402  after its stand-in
from openrlhf import utils  # noqa: E402  after its stand-in
from openrlhf.trainer import ppo_utils  # noqa: E402  after its stand-in
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker  # noqa: E402  after its stand-in
from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator  # noqa: E402  after its stand-in
from openrlhf.trainer.ray.launcher import ReferenceModelActor  # noqa: E402  after its stand-in
from openrlhf.trainer.ray.ppo_actor import ActorPPOTrainer, PolicyModelActor  # noqa: E402  after its stand-in

OLDEST = Version("0.9.9")
"""The first release with trainer/ppo_utils/samples_generator.py."""
FIXED_ROLLOUTS = Shim(
    "fixed-rollouts",
    "OpenRLHF has vLLM sample completions (SamplesGenerator in trainer/ppo_utils/samples_generator.py): in the place of"
    " its answers are the scenario's completions and rewards",
)
WITHOUT_RAY = Shim(
    "actor-in-rank",
    "OpenRLHF's PolicyModelActor and ReferenceModelActor (trainer/ray) are made by Ray, one process each: here each"
    " rank makes its own, and calls them as PPOTrainer does",
)

SEEDED = Shim(
    "seeded-shuffle",
    "OpenRLHF shuffles the rows of a sampling over its steps anew in each epoch (ppo_train in"
    " trainer/ray/ppo_actor.py): before each sampling of several epochs torch is seeded by a number after which all of"
    " them have the scenario's steps",
)

prepare = trainer.prepare


class _Read(Exception):
    """The command line has been read; `args[0]` is what it says."""


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why OpenRLHF's actor cannot run this scenario; None if it can."""
    why = _unsupported_objective(scenario, Version(version)) or trainer.unsupported(scenario, Version(version))
    return None if why is None else f"openrlhf {version} {why}"


def _unsupported_objective(scenario: Scenario, version: Version) -> str | None:
    wanted = scenario.objective
    if version < OLDEST:
        return f"is driven from {OLDEST} on with objective.method='grpo': before it, completions come another way"
    if wanted.group_size < 2:
        return "has advantages of groups alone (--n_samples_per_prompt above 1), so it has no objective.group_size=1"
    if wanted.ratio == "sequence" and wanted.normaliser == "token":
        return "averages rows where ratios are those of rows (PolicyLoss in models/loss.py), not tokens"
    if wanted.ratio == "token" and wanted.normaliser == "row" and version < AGGREGATES:
        return f"averages tokens before {AGGREGATES} (models/loss.py): no objective.normaliser='row' without GSPO"
    return _unsupported_rows(scenario)


def _unsupported_rows(scenario: Scenario) -> str | None:
    if scenario.data.order != "given":
        return "shuffles what a rank has of one sampling (ppo_train in trainer/ray/ppo_actor.py): order='given' alone"
    if scenario.meets_last_window:
        return "drops what does not fill a step of the rows of a sampling (ppo_train in trainer/ray/ppo_actor.py)"
    each = scenario.objective.group_size
    for rollout in rollouts.dealt(scenario):
        rows = set(rollout.every)
        if any(row - row % each + other not in rows for row in rows for other in range(each)):
            return "has whole groups in a sampling (compute_advantages_and_returns), and these steps part one"
    return _unsupported_epochs(scenario)


def _unsupported_epochs(scenario: Scenario) -> str | None:
    dealt = rollouts.dealt(scenario)
    if len({rollout.epochs for rollout in dealt}) > 1:
        return "has one number of epochs for every sampling (--train.max_epochs): its steps here are of several"
    orders = shuffles.orders(dealt[0].steps, dealt[0].share) ** (dealt[0].epochs - 1)
    if orders > shuffles.MOST_OF_EPOCHS:
        return (
            "shuffles the rows of a sampling over its steps anew in each epoch (ppo_train in trainer/ray/ppo_actor.py),"
            f" where one order in {orders} leaves them"
        )
    return None


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in this release of OpenRLHF, and of the DeepSpeed underneath."""
    seeded = [SEEDED] if rollouts.dealt(job.scenario)[0].epochs > 1 else []
    return (*STOOD_IN, FIXED_ROLLOUTS, WITHOUT_RAY, *seeded, *openrlhf_shims.shims(job))


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Sample and train as `PPOTrainer` does. Raises whatever OpenRLHF raises."""
    scenario, applied = job.scenario, shims(job)
    trainer.start(job, applied)
    _record_steps(Watched(job, recorder, rank, applied))
    dealt = rollouts.dealt(scenario)
    strategy = utils.get_strategy(_read(arguments(job, dealt[0])))
    reference = None
    if scenario.objective.refers:
        reference = _made(ReferenceModelActor)
        reference.init_model_from_pretrained(strategy, job.checkpoint)
    policy = _made(PolicyModelActor)
    policy.init_model_from_pretrained(strategy, job.checkpoint, max_steps=scenario.window.steps)
    tokens = load_rows(job)
    for rollout in dealt:
        made = _experiences(rollout.every, tokens, scenario, strategy, policy, reference)
        own = [row for batch in rollout.rows[rank] for row in batch]
        if rollout.epochs > 1:
            torch.manual_seed(shuffles.seed_of_epochs(rollout.steps, rollout.share, rollout.epochs))
        for row in _in_order(own):
            policy.append(made[row])
        policy.fit(kl_ctl=scenario.objective.beta if reference else 0.0)
    recorder.end()


def _in_order(wanted: Sequence[int]) -> list[int]:
    """What the first shuffling of `ppo_train`, whose loader draws next, puts into that order."""
    (drawn,) = shuffles.shuffled(len(wanted), 1)
    by_place = dict(zip(drawn, wanted, strict=True))
    return [by_place[place] for place in range(len(wanted))]


def _read(words: Sequence[str]) -> Any:
    """The flags as the command line reads and checks them, before it starts anything."""

    def get_strategy(args: Any) -> NoReturn:
        raise _Read(args)

    sys.argv = ["train_ppo_ray", *words]
    there = patch.object(ray, "is_initialized", lambda: True, create=True)
    with there, patch.object(utils, "get_strategy", get_strategy):
        try:
            runpy.run_module("openrlhf.cli.train_ppo_ray", run_name="__main__", alter_sys=True)
        except _Read as read:
            return read.args[0]
    raise RuntimeError("openrlhf.cli.train_ppo_ray asks for no strategy")


def _made(actor: Any) -> Any:
    """An actor of this rank. Its __init__ says where ranks meet (trainer/ray/launcher.py), which they have done."""
    marked = getattr(actor, "__ray_metadata__", None)  # with Ray itself, which keeps the class there
    own = actor if marked is None else marked.modified_class
    return own.__new__(own)


def _record_steps(watched: Watched) -> None:
    """Let the recorder see the state after each optimizer step, which is one of several calls."""
    stepped = ActorPPOTrainer.training_step

    def training_step(own: Any, *args: Any, **kwargs: Any) -> Any:
        engine = own.actor.model
        before = engine.global_steps
        status = stepped(own, *args, **kwargs)
        if engine.global_steps > before:
            told = status["metrics"]
            watched.step(engine, {"grad_norm": told["actor_grad_norm"]}, told["actor_lr"], None)
        return status

    ActorPPOTrainer.training_step = training_step


def _experiences(
    rows: Sequence[int], tokens: Sequence[Tokens], scenario: Scenario, strategy: Any, policy: Any, reference: Any
) -> dict[int, Any]:
    """By row what OpenRLHF makes of its completion and reward (make_experience in
    trainer/ppo_utils/experience_maker.py, whose models are other processes)."""
    control = ppo_utils.FixedKLController(scenario.objective.beta)
    maker = RemoteExperienceMaker(None, None, None, None, control, strategy, policy.tokenizer)
    answers = (_answer(tokens[row], scenario.objective.rewards[row], scenario) for row in rows)
    longest = {"max_len": scenario.model.max_positions}
    sampled = [SamplesGenerator._process_response_into_experience(None, answer, **longest) for answer in answers]
    batches = maker.split_rollout_samples(sampled)
    for batch in batches:
        told = (batch.sequences, batch.action_mask, batch.attention_mask)
        batch.action_log_probs = policy.forward(*told)
        batch.base_action_log_probs = reference.forward(*told) if reference else None
        batch.kl = torch.zeros_like(batch.action_log_probs)
        batch.info["kl"] = batch.info["logprobs_diff"] = torch.zeros(len(batch.sequences))
    done = maker.compute_advantages_and_returns(batches)
    return dict(zip(rows, (each for batch in done for each in _parted(batch)), strict=True))


def _parted(batch: Any) -> list[Any]:
    """An experience of each row."""
    return [ppo_utils.make_experience_batch([row]) for row in ppo_utils.split_experience_batch(batch)]


def _answer(row: Tokens, reward: float, scenario: Scenario) -> dict[str, Any]:
    """A row as OpenRLHF's engine answers (utils/agent.py)."""
    spans = [list(span) for trained, span in groupby(range(len(row.ids)), row.loss_mask.__getitem__) if trained]
    return {
        "observation_tokens": list(row.ids),
        "action_ranges": [(span[0], span[-1] + 1) for span in spans],
        "rollout_log_probs": None,
        "reward": reward,
        "truncated": completions.endless(row, scenario),
        "prompt": "",
        "label": "",
    }
