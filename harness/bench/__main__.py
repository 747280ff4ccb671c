"""`python -m harness.bench`: how long the parts of a run take. Writes `.runs/bench.json`.

What is compared is measured side by side, in turn, so that whatever else the machine does meets both alike; each value
is a median.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import scenarios
from harness import temporary
from harness.bench import cells, sizes
from harness.bench.cells import EVERYWHERE, Cells
from harness.bench.metric import Metric, progress, show, write
from harness.bench.sizes import RECORDED, SIZES, Size, Trained
from harness.environments import build, recipes, store
from harness.environments.environment import Environment
from harness.environments.request import parse
from harness.launch.template import Template
from harness.launch.torchrun import Torchrun

FRAMEWORK = "deepspeed==0.19.8"
SCENARIO = "sft-ragged-zero2-offload"
"""The scenario of the bug that Lockstep was made for: two ranks, ZeRO 2, the optimizer on the CPU."""
RUNS = 7
LEAST = 5
"""Runs below which a median says little; fewer are for the tests of this file."""


def measure(environment: Environment, folder: Path, runs: int) -> dict[str, Metric]:
    """Everything, in a folder for what the cells need and write."""
    scenario = scenarios.get(SCENARIO)
    own = Cells(environment, scenario, folder)
    variables = {**environment.variables, **environment.cpu_variables}
    with (
        Template(environment.python, environment.adapter, variables, folder / "template.txt") as warm,
        Torchrun(environment.python, variables) as cold,
    ):
        progress("starting the template")
        warm.start()
        trace = own.run(warm)  # not counted: the first cell reads files that the later ones find in memory
        return {
            "deepspeed_warm_cell_speedup": cells.cold_and_warm(own, cold, warm, runs),
            "recording_overhead": cells.recording(own, warm, runs),
            "oracle_seconds": sizes.oracle(scenario, runs),
            "judge_seconds": sizes.judging(trace, runs),
            **sizes.judging_grown(scenarios.get(EVERYWHERE), environment, warm, folder, min(runs, 3)),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, show."""
    parser = argparse.ArgumentParser(prog="python -m harness.bench", description="How long the parts of a run take.")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of each, by default {RUNS}")
    parser.add_argument("--out", type=Path, default=Path(".runs/bench.json"), help="file that is written")
    parser.add_argument("--framework", action="append", help="frameworks whose warm cells are timed, by default all")
    parser.add_argument(
        "--size",
        action="append",
        type=Size.parse,
        metavar="TOKENS,VOCABULARY,HIDDEN",
        help="heads whose tokens are weighed, by default seven, of which one of the three grows at a time",
    )
    parser.add_argument(
        "--trained",
        action="append",
        type=Trained.parse,
        metavar="TOKENS,VOCABULARY,WIDTH,LAYERS",
        help="trainings that are recorded, by default five of at least 100 M parameters",
    )
    parser.add_argument("--envs", type=Path, default=None, help="folder of environments")
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    if load > 0.5:
        progress(f"the machine has a load of {load:.1f} already: only the ratios mean much")
    root, runs = options.envs or store.default_root(), max(1, options.runs)
    names = [*(options.framework or recipes.shipped().framework)]
    environment, *others = build.ensure_all([parse(name) for name in (FRAMEWORK, *names)], root, progress)
    with temporary.folder("bench") as folder:
        metrics = measure(environment, folder, runs)
        for size in options.size or SIZES:
            metrics |= sizes.local(size, min(runs, 3))
        for trained in options.trained or RECORDED:
            metrics |= sizes.overhead(trained, min(runs, 5))
        for other in others:
            metrics |= cells.warm_cells(other, folder / other.framework, runs)
        metrics |= cells.smoke_matrix(names, root, folder)
    write(metrics, load, options.out)
    show(metrics)
    progress(f"written: {options.out}" + ("" if options.runs >= LEAST else f"; fewer than {LEAST} runs say little"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
