"""One training of a small policy: a warm start on right responses, then GRPO on what a sampler with a mismatch drew."""

from __future__ import annotations

import copy
import functools
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.policy import decoding, measures, mismatches, task
from harness.policy.corrections import CORRECTIONS
from harness.policy.mismatches import EXACT, Mismatch
from harness.policy.record import RunRecord
from harness.trial.model import Decoder
from harness.trial.model import Size as ModelSize

MODEL = ModelSize(width=32, layers=2, vocabulary=task.VOCABULARY, head=16)
WARM_RATE, WARM_ROWS = 3e-3, 64
RATE, CLIP = 1e-3, 1.0
GROUP = 8
"""Responses to a prompt."""
_WEIGHTS, _WARM, _PROMPTS, _TOKENS, _NOISE, _JUDGED = range(6)
"""Streams of what is drawn: equal in all arms of a seed."""


@dataclass(frozen=True)
class Size:
    """How long and on how much is trained."""

    warm: int
    """Steps of the warm start."""
    steps: int
    prompts: int
    """Of a step, each with GROUP responses."""
    judged: int
    """Prompts that the trained policy answers in the end."""


@dataclass(frozen=True)
class Run:
    """A training."""

    mismatch: Mismatch
    correction: str
    seed: int
    size: Size


def train(run: Run) -> RunRecord:
    """All of it, in float64 on one core. What is drawn follows from the seed."""
    begun = time.monotonic()
    policy = copy.deepcopy(_warmed(run.seed, run.size.warm))
    optimizer = torch.optim.AdamW(policy.parameters(), lr=RATE, weight_decay=0.0)
    prompts, tokens = _draw(_PROMPTS, run.seed), _draw(_TOKENS, run.seed)
    changed = mismatches.changed(run.mismatch, task.LENGTH, _draw(_NOISE, run.seed))
    weights = CORRECTIONS[run.correction].weights
    rewards, found = [], []
    for _ in range(run.size.steps):
        asked = task.prompts(run.size.prompts, prompts).repeat_interleave(GROUP, 0)
        rollouts = decoding.sample(policy, asked, task.LENGTH, changed, tokens)
        reward = task.rewards(rollouts.ids)
        logprobs = logprobs_of(policy, rollouts.ids)
        logs = logprobs.detach() - rollouts.logprobs
        _step(policy, optimizer, objective(logprobs, advantages(reward), weights(logs)))
        rewards.append(float(reward.mean()))
        found.append(measures.measured(logs))
    return RunRecord(
        kind=run.mismatch.kind,
        size=run.mismatch.size,
        correction=run.correction,
        seed=run.seed,
        begun_with=judged(_warmed(run.seed, run.size.warm), run.size.judged),
        final=judged(policy, run.size.judged),
        rewards=rewards,
        measures={name: [each[name] for each in found] for name in measures.NAMES},
        seconds=time.monotonic() - begun,
    )


def advantages(rewards: Tensor) -> Tensor:
    """Rewards less the mean of their group: [rows], the groups one behind the other. Nothing is divided by a spread."""
    groups = rewards.view(-1, GROUP)
    return (groups - groups.mean(1, keepdim=True)).flatten()


def objective(logprobs: Tensor, advantage: Tensor, weights: Tensor) -> Tensor:
    """Of one step on what was just drawn, where p over the old p is 1: mean over tokens of -weight x advantage x log p.

    logprobs, weights: [rows, tokens], of which the weights are constant. advantage: [rows].
    """
    return -(weights.detach() * advantage[:, None] * logprobs).mean()


def logprobs_of(policy: Decoder, ids: Tensor) -> Tensor:
    """The trainer's own, of the responses in [rows, prompt + response]: [rows, response]."""
    known = policy.logits(ids)[:, task.LENGTH : -1].log_softmax(-1)
    return known.gather(2, ids[:, task.LENGTH + 1 :, None])[..., 0]


def judged(policy: Decoder, count: int) -> float:
    """Mean reward of the policy itself, sampled exactly: the same prompts and draws for every policy."""
    draw = _draw(_JUDGED, 0)
    asked = task.prompts(count, draw)
    exact = mismatches.changed(EXACT, task.LENGTH, draw)
    return float(task.rewards(decoding.sample(policy, asked, task.LENGTH, exact, draw).ids).mean())


@functools.lru_cache(maxsize=1)
def _warmed(seed: int, steps: int) -> Decoder:
    """A policy that knows a part of the task, the same for all arms of a seed."""
    policy = Decoder(MODEL, _stream(_WEIGHTS, seed)).double()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=WARM_RATE, weight_decay=0.0)
    draw = _draw(_WARM, seed)
    for _ in range(steps):
        asked = task.prompts(WARM_ROWS, draw)
        right = torch.cat([asked, task.answers(asked)], 1)
        _step(policy, optimizer, -logprobs_of(policy, right).mean())
    return policy


def _step(policy: Decoder, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(policy.parameters(), CLIP)
    optimizer.step()


def _draw(stream: int, seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(_stream(stream, seed))


def _stream(stream: int, seed: int) -> int:
    return 1000 * stream + seed
