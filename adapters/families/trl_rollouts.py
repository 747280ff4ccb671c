"""The scenario's completions and rewards in the place of sampled ones, for TRL's GRPOTrainer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from adapters.contract import Job, Scenario, to_dict
from adapters.families import shuffles
from adapters.inside import completions, data


def steps_sampled(scenario: Scenario) -> int:
    """Optimizer steps of one sampling that have rows of their own; they are made again where it is for more steps."""
    return min(scenario.objective.rollout_steps, len(scenario.data.rows) // _of_step(scenario))


def passes(scenario: Scenario) -> int:
    """How many times a sampling is trained on."""
    return scenario.objective.rollout_steps // steps_sampled(scenario)


def rows_sampled(scenario: Scenario) -> list[list[int]]:
    """Of each sampling of an epoch, its rows as TRL deals them: those of rank 0 come first, and of each rank those of
    the first step."""
    steps, ranks = steps_sampled(scenario), range(scenario.window.ranks)
    own = [sorted(scenario.step_rows(step)) for step in range(len(scenario.data.rows) // _of_step(scenario))]
    share = _share(scenario)
    return [
        [row for rank in ranks for rows in own[at : at + steps] for row in rows[rank * share : (rank + 1) * share]]
        for at in range(0, len(own), steps)
    ]


def _of_step(scenario: Scenario) -> int:
    """Rows of a step."""
    return scenario.window.sequences_per_step


def _share(scenario: Scenario) -> int:
    """Rows that a rank has in a step."""
    return _of_step(scenario) // scenario.window.ranks


def _of_ranks(scenario: Scenario) -> list[list[list[int]]]:
    """Rows of each sampling, of each rank."""
    each = steps_sampled(scenario) * _share(scenario)
    return [[rows[at : at + each] for at in range(0, len(rows), each)] for rows in rows_sampled(scenario)]


def unsupported(scenario: Scenario) -> str | None:
    """Why the scenario's rows cannot come by TRL's sampler; None if they can."""
    objective, each = scenario.objective, scenario.objective.group_size
    if scenario.data.order != "given":
        return f"no data.order={scenario.data.order!r} with objective.method='grpo' yet"
    epoch, wanted = len(scenario.data.rows) / _of_step(scenario), objective.rollout_steps
    steps = steps_sampled(scenario) if epoch >= 1 else 0
    if not steps or epoch % steps or wanted % steps:
        return f"no objective.rollout_steps={wanted} in epochs of {epoch:g} steps: an epoch is whole samplings"
    if steps * _of_step(scenario) % each:
        return f"whole groups of {each} in a sampling, and these steps part one"
    if steps > 1 and _share(scenario) % each:
        return f"no groups of {each} in several steps of a sampling, of which a rank has {_share(scenario)} rows each"
    groups = (scenario.data.rows[at : at + each] for at in range(0, len(scenario.data.rows), each))
    if not all(row[:-1] == group[0][:-1] and _answers(row) == 1 for group in groups for row in group):
        return "a prompt for each group, so all of its rows have the same one, and one answer"
    return None


def unshuffled(scenario: Scenario) -> str | None:
    """Why TRL's shuffle cannot leave the scenario's rows in their steps; None if it can."""
    wanted = scenario.objective.rollout_steps
    orders = shuffles.orders(steps_sampled(scenario), _share(scenario))
    if orders <= shuffles.MOST_OF_ONCE:
        return None
    return (
        f"no data.order='given' with objective.rollout_steps={wanted}: it shuffles the rows of a sampling over its"
        f" steps (_prepare_inputs in trainer/grpo_trainer.py), where one order in {orders} leaves them"
    )


def _answers(row: Sequence[Any]) -> int:
    return sum(message.role == "assistant" for message in row)


def fills_up(scenario: Scenario) -> bool:
    """Whether `generate` has to fill up a completion that does not end, as no model does: TRL would train that."""
    limit = scenario.data.max_length
    if limit is None:
        return False
    whole = [scenario.tokens(row) for row in scenario.data.rows]
    kept = [min(n, limit) - scenario.tokens(row[:-1]) - 1 for n, row in zip(whole, scenario.data.rows, strict=True)]
    together = [rows for ranks in _of_ranks(scenario) for rows in ranks]
    return any(whole[row] > limit and kept[row] < max(kept[r] for r in rows) for rows in together for row in rows)


class Rollouts:
    """What TRL asks of who samples and of who rewards, on one rank."""

    def __init__(self, job: Job, rank: int, pad: int) -> None:
        scenario = job.scenario
        self._rewards, self._pad = scenario.objective.rewards, pad
        self._rows: list[int] = []
        self._next = itertools.cycle(ranks[rank] for ranks in _of_ranks(scenario))
        several = steps_sampled(scenario) > 1
        self._seed = shuffles.seed_of_once(steps_sampled(scenario), _share(scenario)) if several else None
        rows = [(list(row.ids), completions.begins(row)) for row in data.load_rows(job)]
        self._messages = [[to_dict(message) for message in row[:-1]] for row in scenario.data.rows]
        self._prompts = [ids[:start] for ids, start in rows]
        self._completions = [ids[start:] for ids, start in rows]

    def rollout(self, prompts: Sequence[Any], _: Any) -> dict[str, Any]:
        """TRL's `rollout_func`: no log-probabilities, of which it computes its own where it needs them."""
        self._sample(prompts, self._messages)
        of = [(self._prompts[row], self._completions[row]) for row in self._rows]
        return {"prompt_ids": [p for p, _ in of], "completion_ids": [c for _, c in of], "logprobs": None}

    def generate(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> Tensor:
        """The model's own: prompts, padded on the left as they came, and completions, filled up at the end."""
        prompts = [row[mask.bool()].tolist() for row, mask in zip(input_ids, attention_mask, strict=True)]
        self._sample(prompts, self._prompts)
        completions = [self._completions[row] for row in self._rows]
        longest = max(map(len, completions))
        filled = [ids + [self._pad] * (longest - len(ids)) for ids in completions]
        return torch.cat([input_ids, torch.tensor(filled, device=input_ids.device)], dim=1)

    def reward(self, prompts: Sequence[Any], **_: Any) -> list[float]:
        """Of what was sampled last."""
        if len(prompts) != len(self._rows):
            raise RuntimeError(f"TRL asks for {len(prompts)} rewards of {len(self._rows)} completions")
        return [self._rewards[row] for row in self._rows]

    def _sample(self, prompts: Sequence[Any], known: Sequence[Any]) -> None:
        self._rows = next(self._next)
        if list(prompts) != [known[row] for row in self._rows]:
            raise RuntimeError("TRL asks for completions of other prompts than those that come next")
        if self._seed is not None:
            torch.manual_seed(self._seed)
