"""Many re-sealed mutants of recorded traces through the judge: none may pass that changed anything that is judged.

    python -m tests.mutants TRACE... --count 700 --seed 0

Prints the outcomes, the longest time and the peak of memory. Status 1 where a mutant passes that must not, where
anything is raised, or where one takes longer than a minute.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import torch

from harness.judging.judge import judge
from harness.oracle.basis_cache import BasisCache
from harness.verdicts import verdict
from tests.mutants.declared import declared
from tests.mutants.json_changes import Unchanged
from tests.mutants.mutate import Mutation, mutate
from tests.mutants.remembered import remembered
from tests.mutants.trace import Copy

LONGEST = 60
"""Seconds."""


def mutant(trace: Path, folder: Path, draw: random.Random) -> tuple[Copy, Mutation]:
    """A copy of a trace in `folder` with one change."""
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        copy = Copy.of(trace, folder)
        try:
            return copy, mutate(copy, draw)
        except Unchanged:
            continue


def hole(outcome: str, mutation: Mutation) -> bool:
    """Whether a mutant passed that must not."""
    return outcome == "pass" and declared(mutation) is None


def _too_long(signum: int, frame: FrameType | None) -> None:
    raise TimeoutError


def _peak() -> int:
    """MiB that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("traces", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=100, help="mutants of each trace")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, _too_long)
    bad = 0
    cache = BasisCache()
    with remembered():
        for trace in asked.traces:
            bad += _of(trace, asked.count, asked.seed, cache)
    return 1 if bad else 0


def _of(trace: Path, count: int, seed: int, cache: BasisCache) -> int:
    """Mutants of one trace; how many of them are a hole, raise, or take too long."""
    began = time.monotonic()
    right = verdict.outcome(judge(trace, cache).findings)
    need, took = _peak(), time.monotonic() - began
    outcomes: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    longest, bad = 0.0, 0
    with tempfile.TemporaryDirectory(prefix="lockstep-mutants-", dir=trace.parent) as home:
        for number in range(count):
            _, mutation = mutant(trace, Path(home) / "trace", random.Random(f"{trace}/{seed}/{number}"))
            began = time.monotonic()
            signal.alarm(LONGEST)
            try:
                findings = judge(Path(home) / "trace", cache).findings
                outcome = verdict.outcome(findings)
            except Exception as error:  # noqa: BLE001  whatever it is, it is told, and the run goes on
                findings, outcome = (), f"raised {type(error).__name__}"
            signal.alarm(0)
            longest = max(longest, time.monotonic() - began)
            outcomes[outcome] += 1
            if not (number + 1) % 50:
                print(f"  {number + 1}: {dict(outcomes)}", flush=True)
            inside.update(f.message for f in findings if " crashed: " in f.message)
            if outcome == "pass":
                passed[f"{mutation.file}: {mutation.what}: {mutation.how}"] += 1
            if hole(outcome, mutation) or outcome.startswith("raised"):
                bad += 1
                print(f"BAD {outcome}: {seed}/{number} {mutation}", flush=True)
    print(f"{trace}: {right}, judged in {took:.1f} s, {need} MiB")
    print(f"  {count} mutants: {dict(outcomes)}; longest {longest:.1f} s; peak {_peak()} MiB; bad {bad}")
    print(f"  passed: {dict(passed)}")
    print(f"  crashed inside: {dict(inside)}", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(main())
