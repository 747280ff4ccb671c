"""`python asked_options.py FRAMEWORK VERSION ADAPTER FOLDER < SCENARIOS`: what an adapter hands to its framework.

Run inside the framework's own environment; nothing is trained. FOLDER has the checkpoint of each scenario.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from adapters.contract import Job, Scenario, module_of, scenario_from_dict
from adapters.inside.rank import unsupported


def main() -> None:
    framework, version, name, folder = sys.argv[1:]
    found = {}
    for content in json.load(sys.stdin):
        scenario = scenario_from_dict(content)
        adapter: Any = importlib.import_module(module_of(name, scenario))
        if hasattr(adapter, "prepare"):
            adapter.prepare()
        if not unsupported(adapter, scenario, framework, version):
            at = str(Path(folder) / scenario.name)
            found[scenario.name] = handed(adapter, Job(name, framework, version, scenario, at, at))
    print("\n" + json.dumps(found, default=str))


def handed(adapter: Any, job: Job) -> Any:
    """A mapping of options, or the words of a command line."""
    scenario = job.scenario
    if job.framework == "trl":
        name = "DPOConfig" if scenario.objective.method == "dpo" else "GRPOConfig"
        with patch.object(adapter, name, _as_handed(getattr(adapter, name))):
            return vars(adapter.config(scenario))
    if job.framework == "llamafactory":
        return adapter.config(job, Path(job.checkpoint))
    if job.framework == "verl":
        from adapters.families import verl_engine_actor, verl_rollouts

        return [*verl_rollouts.options(job), *verl_engine_actor.options(job)]
    return of_openrlhf(job, scenario)


def _as_handed(kind: Any) -> Any:
    """A configuration that keeps what it is given, and asks for no process group."""
    return type(kind.__name__, (kind,), {"__init__": lambda self, **given: self.__dict__.update(given)})


def of_openrlhf(job: Job, scenario: Scenario) -> list[str]:
    from packaging.version import Version

    from adapters.families import openrlhf_actor_flags, openrlhf_flags, rollouts

    if scenario.objective.method == "dpo":
        return openrlhf_flags.arguments(job, "rows", openrlhf_flags.preferences(scenario, Version(job.version)))
    return openrlhf_actor_flags.arguments(job, rollouts.dealt(scenario)[0])


if __name__ == "__main__":
    main()
