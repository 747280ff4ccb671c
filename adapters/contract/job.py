"""One cell as handed to the ranks, and what is changed in a framework for it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from adapters.contract.scenario import Scenario, scenario_from_dict, to_dict

PATCHES = "LOCKSTEP_PATCHES"
"""Environment variable of a framework that a user's patches change: see `dump_patches`."""

Part = Literal["whole", "before", "after"]
"""Of a run: all of it, or what comes before it is saved, or what comes after it goes on from there."""


Training = Literal["none", "first", "whole"]
"""Whether the scenario is the first steps of a longer training, and whether the run ends behind them."""

TRAINING = "training.json"
"""In a checkpoint: the scenario of a whole training, of which the job's is the first steps. It has the same model, seed
and settings; its steps are the horizon of the job's schedule, and its rows go on behind the job's."""


def module_of(adapter: str, scenario: Scenario) -> str:
    """The module that trains the scenario's objective: `adapters.trl_dpo` beside `adapters.trl_sft`, or that itself."""
    other = f"{adapter.removesuffix('sft')}{scenario.objective.method}"
    return adapter if importlib.util.find_spec(other) is None else other


class Unsupported(Exception):
    """An adapter cannot express a field of the scenario; the message names the framework and the field."""


@dataclass(frozen=True)
class Shim:
    """Something changed in a framework so that it runs here, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Patch:
    """What a user changes in a framework, as the processes that run it are told of it."""

    shim: Shim
    """As it stands in the trace."""
    sha256: str
    file: str | None
    """A Python file whose `apply()` is called; None for a diff, which the installed files have had applied to them."""


def dump_patches(patches: Sequence[Patch]) -> str:
    """Patches, in the order in which they are made, as JSON."""
    return json.dumps([to_dict(patch) for patch in patches])


def load_patches(text: str) -> tuple[Patch, ...]:
    """The inverse of `dump_patches`."""
    return tuple(Patch(**{**data, "shim": Shim(**data["shim"])}) for data in json.loads(text))


@dataclass(frozen=True)
class Job:
    """One cell, as each of its ranks reads it."""

    adapter: str
    """Module name, such as `adapters.trl_sft`, beside which stand those for other objectives, such as
    `adapters.trl_dpo`."""
    framework: str
    version: str
    scenario: Scenario
    checkpoint: str
    """Folder with the model, tokenizer and `rows.jsonl`, made by `scenarios.checkpoint`."""
    trace: str
    """Folder that the trace is written to; it exists."""
    fault: str | None = None
    """Name in `adapters.faults`, for the torch reference only."""
    record: bool = True
    """False runs the same steps without writing tensors: the yardstick of the recorder's own cost."""
    part: Part = "whole"
    deterministic: bool = False
    """Whether torch is to take algorithms alone that give the same bits in every run."""
    training: Training = "none"

    @property
    def module(self) -> str:
        """What runs it: the adapter, or the module beside it for another objective."""
        return module_of(self.adapter, self.scenario)

    @property
    def trained(self) -> Job:
        """The job as the framework is given it: of a training, with the scenario of all of it."""
        if self.training == "none":
            return self
        whole = json.loads((Path(self.checkpoint) / TRAINING).read_text())
        return replace(self, scenario=scenario_from_dict(whole))

    @property
    def steps(self) -> range:
        """Optimizer steps of this part, from 0."""
        window = self.scenario.window
        first = window.resume_after if self.part == "after" else 0
        return range(first, window.resume_after if self.part == "before" else window.steps)

    def dumps(self) -> str:
        return json.dumps(to_dict(self))

    @staticmethod
    def loads(text: str) -> Job:
        data = json.loads(text)
        return Job(**{**data, "scenario": scenario_from_dict(data["scenario"])})
