"""How long fuzzers look: some examples in every run of the tests, and many in `make fuzz`.

    python -m tests.fuzzing --minutes 10

runs every test with the mark `fuzz` again and again, with other examples each time, until the time is over or one
fails.
An input that was found becomes a test: by `@example`, or one of its own.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time

TIMES = "LOCKSTEP_FUZZ"
"""Environment variable: by how much there are more examples than in every run of the tests."""


def examples(daily: int) -> int:
    """For `max_examples` of a fuzzer: how many there are in every run of the tests."""
    return daily * int(os.environ.get(TIMES, "1"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="of a round that failed")
    parser.add_argument("tests", nargs="*", help="files or names of tests; all fuzzers if there are none")
    asked = parser.parse_args()
    end = time.monotonic() + 60 * asked.minutes
    while time.monotonic() < end:
        seed = random.randrange(2**32) if asked.seed is None else asked.seed
        if status := _round(seed, asked.tests, end - time.monotonic()):
            print(f"found with seed {seed}; again: python -m tests.fuzzing --seed {seed} {' '.join(asked.tests)}")
            return status
        if asked.seed is not None:
            break
    return 0


def _round(seed: int, tests: list[str], left: float) -> int:
    """Every fuzzer once; 0 where nothing was found, or where the time was over before."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "fuzz", "--numprocesses", "auto"]
    command = [*pytest, f"--hypothesis-seed={seed}", *tests]
    try:
        return subprocess.run(command, env={**os.environ, TIMES: "3"}, timeout=left, check=False).returncode
    except subprocess.TimeoutExpired:
        print("the time was over in the middle of a round, in which nothing was found so far")
        return 0


if __name__ == "__main__":
    sys.exit(main())
