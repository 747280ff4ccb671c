"""Loops as people write them, right and wrong, recorded with no line of them changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frameworks.recorded import interpreter, judged, launched, recorded

pytestmark = [pytest.mark.frameworks, pytest.mark.exhaustive, pytest.mark.timeout(1800)]

HERE = Path(__file__).parent
MEANS = ": a mean over the micro-batches, each averaged by itself"
STALE = "of the gradient of the head: the gradient of the step before is still in it"
SCALED = "the gradient is 4 times what it should be: gradient_accumulation_steps"


def told(words: tuple[str, ...], environments: Path, folder: Path) -> tuple[int, str]:
    script, *rest = words
    recorded(launched(interpreter("trl==1.16.0", environments), 2, 29655, str(HERE / script), *rest), folder)
    done = judged(folder)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("accelerate_loop.py", "right"), 0, "every trained token of 4 micro-batches on 2 ranks weighs 1/133: a mean"),
        (("accelerate_loop.py", "means"), 0, MEANS),
        (("accelerate_loop.py", "never-zeroed"), 1, STALE),
        (("accelerate_loop.py", "twice"), 1, "the scheduler (LambdaLR) moved 2 times in a step, from step 0 to 1"),
        (("forgetful_trl.py",), 1, SCALED),
        (("forgetful_trl.py", "1.0"), 0, MEANS),
    ],
    ids=["right", "means of micro-batches", "never zeroed", "twice", "forgotten", "forgotten, and clipped"],
)
def test_a_loop(words: tuple[str, ...], status: int, said: str, environments: Path, tmp_path: Path) -> None:
    """Clipped, a gradient that is 4 times too long is as it should be, and only the means are told."""
    code, text = told(words, environments, tmp_path)
    assert (code, said in text) == (status, True), text
