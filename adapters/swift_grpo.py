"""ms-swift's `rlhf_main` with `rlhf_type: grpo`, on the scenario's completions in the place of sampled ones."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from swift import RLHFArguments, rlhf_main
from swift.infer_engine.protocol import (
    ChatCompletionResponse,
    ChatCompletionResponseChoice,
    ChatMessage,
    RolloutOutput,
    UsageInfo,
)
from swift.rewards import ORM, orms

from adapters import swift_sft
from adapters.contract import Job, Scenario, Shim, to_dict
from adapters.families import row_files, trl_rollouts
from adapters.inside import completions, data
from adapters.inside.recorder import Recorder

TRAINER = "swift.rlhf_trainers.grpo_trainer"

LOSSES = {"token": "dapo", "row": "grpo", "constant": "dr_grpo"}
"""What it calls a scenario's `objective.normaliser`."""

FIRST = "first_row"
"""Column of the dataset: of the scenario's rows the first one of a group."""

FIXED = Shim(
    "fixed-rollouts",
    "ms-swift has no option for completions that are there already, so that its rollout (_colocate_rollout in"
    " rlhf_trainers/rollout_mixin.py) gives the scenario's in the place of sampled ones",
)


def prepare() -> None:
    """As for `sft`, and its trainer of rewards, which it imports when it is asked for."""
    swift_sft.prepare()
    if swift_sft.lacks_msgspec("") is None:
        import_module(TRAINER)


def unsupported(scenario: Scenario, version: str) -> str | None:
    """Why ms-swift cannot run this scenario; None if it can."""
    if (why := swift_sft.lacks_msgspec(version)) is not None:
        return why
    if scenario.objective.group_size < 2:
        return f"ms-swift {version} has no objective.group_size=1 (_check_teacher in arguments/rlhf_args.py)"
    if (why := trl_rollouts.unsupported(scenario)) is not None:
        return f"ms-swift {version} has {why}"
    return swift_sft.unsupported(scenario, version)


def shims(job: Job) -> Sequence[Shim]:
    """What `train` changes in ms-swift and what is below it."""
    return [*swift_sft.shims(job), FIXED]


def train(job: Job, recorder: Recorder, rank: int, world: int) -> None:
    """Run the scenario's optimizer steps. Raises whatever ms-swift raises."""
    folder = swift_sft.begin(job, recorder, rank)
    rollouts = Rollouts(job, rank)
    import_module(TRAINER).GRPOTrainer._colocate_rollout = lambda _, samples, __: rollouts.sampled(samples)
    orms[swift_sft.NAME] = lambda *_, **__: Reward(job.scenario)
    file = row_files.write_one(prompts(job.scenario), folder / "rows.jsonl")
    rlhf_main(RLHFArguments(**arguments(job, file)))


def arguments(job: Job, dataset: Path) -> dict[str, Any]:
    """As for `sft`, with the options of rewards. Of low-rank updates the reference would be the model without any, so
    that those of the checkpoint are named."""
    scenario, wanted, given = job.scenario, job.scenario.objective, swift_sft.arguments(job, [dataset])
    constant = wanted.normaliser == "constant"
    return {
        **given,
        "rlhf_type": "grpo",
        "use_vllm": False,
        "num_generations": wanted.group_size,
        "steps_per_generation": scenario.window.accumulation * trl_rollouts.steps_sampled(scenario),
        "num_iterations": trl_rollouts.passes(scenario),
        "reward_funcs": [swift_sft.NAME],
        "loss_type": LOSSES[wanted.normaliser],
        "max_completion_length": wanted.normaliser_constant if constant else scenario.model.max_positions,
        "scale_rewards": "group" if wanted.advantage == "group-std" else "none",
        "importance_sampling_level": wanted.ratio,
        "epsilon": wanted.clip_low,
        "epsilon_high": wanted.clip_high,
        "beta": wanted.beta,
        "temperature": 1.0,
        "overlong_filter": wanted.truncated == "masked",
        # completions are cut already
        "max_length": scenario.model.max_positions,
        "truncation_strategy": "delete",
        **({"ref_adapters": given["adapters"]} if "adapters" in given and wanted.refers else {}),
    }


def prompts(scenario: Scenario) -> list[dict[str, Any]]:
    """The prompt of each group, in the order in which the groups are to come."""
    order = [row for rows in trl_rollouts.rows_sampled(scenario) for row in rows]
    return [
        {"messages": [to_dict(message) for message in scenario.data.rows[row][:-1]], FIRST: row}
        for row in order[:: scenario.objective.group_size]
    ]


class Rollouts:
    """The scenario's completions, on one rank."""

    def __init__(self, job: Job, rank: int) -> None:
        self._rank, self._each = rank, job.scenario.objective.group_size
        rows = data.load_rows(job)
        self._completions = [list(row.ids[completions.begins(row) :]) for row in rows]
        self._endless = [completions.endless(row, job.scenario) for row in rows]
        self._texts = [row[-1].content for row in job.scenario.data.rows]

    def sampled(self, samples: Sequence[Any]) -> list[RolloutOutput]:
        """One for each sample of this rank. Those of a group follow each other, over the ranks too."""
        begin = self._rank * len(samples)
        return [
            self._output(sample.extra[FIRST] + (begin + place) % self._each) for place, sample in enumerate(samples)
        ]

    def _output(self, row: int) -> RolloutOutput:
        ids = self._completions[row]
        choice = ChatCompletionResponseChoice(
            index=0,
            message=ChatMessage(role="assistant", content=self._texts[row]),
            finish_reason="length" if self._endless[row] else "stop",
            token_ids=ids,
        )
        response = ChatCompletionResponse("fixed", [choice], UsageInfo(0, len(ids), len(ids)))
        return RolloutOutput(response=response, rollout_infos={"row": row})


class Reward(ORM):
    """The scenario's, by row."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__()
        self._rewards = scenario.objective.rewards

    def __call__(self, _: Sequence[Any], rollout_infos: Sequence[dict[str, int]], **__: Any) -> list[float]:
        return [self._rewards[told["row"]] for told in rollout_infos]
