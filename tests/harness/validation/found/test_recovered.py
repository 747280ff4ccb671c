"""What was recovered of a step, in words beside what is configured, on recordings of loops of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import Optimizer
from harness.intent.intent import Group, Intent, Rule
from harness.recordings import reader, telling
from harness.validation.found import recovered
from harness.validation.found.judging import Judged
from harness.validation.record import PartRecord
from harness.validation.small.runs import Run
from harness.validation.step import telling as words
from harness.validation.step.effective import Effective
from tests.harness.recordings import loops

RULE = Rule((Group(("*",), 0.01),), 1e-3)
WANTED = Intent(RULE, steps=3, ranks=1, accumulation=4, micro_batch_size=2, max_grad_norm=0.5)
STEP = Effective(micro_batch_size=2, accumulation=4, ranks=1, sequences=8, optimizer=Optimizer(), horizon=3)


def judged(folder: Path, wanted: Intent, name: str = "first", step: Effective = STEP, **how: Any) -> Judged:
    model = loops.llama()
    loops.record(folder, lambda: loops.train(model, **{"clip": 0.5, **how}))
    recording = reader.read(folder)
    run = Run(name, "a run", step, accumulation=4, rows=24, steps=3, epochs=None, scaled=False)
    return Judged(run, recording, wanted, telling.tell(recording, wanted))


def beside(*runs: Judged) -> dict[str, PartRecord]:
    return {part.what: part for part in recovered.beside(words.parts(STEP), runs)}


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judged(tmp_path_factory.mktemp("right"), WANTED)


def held_otherwise(right: Judged, **changed: Any) -> Judged:
    intent = replace(WANTED, **changed)
    return replace(right, intent=intent, told=telling.tell(right.recording, intent))


def test_a_right_run_differs_in_nothing(right: Judged) -> None:
    found = beside(right)
    assert not [part for part in found.values() if part.differs]
    assert found["global batch"].recovered == "2 a micro-batch x 4 accumulated x 1 ranks"
    assert (found["trained"].recovered or "").startswith("the responses, as configured (")
    assert (found["trained"].recovered or "").endswith(" tokens in 3 steps)")
    assert found["aggregation"].recovered == "a mean over the tokens of the window"
    assert found["clipping"].recovered == "at a norm of 0.5"
    assert found["learning rate"].recovered == "0.001, 0.001, 0.001 as expected, in the first steps"
    assert found["schedule"].recovered == "0.001, 0.001, 0.001 as expected, over 3 steps"
    assert (found["decay"].recovered or "").startswith("0.01 (known to ")
    assert found["length"].recovered is None


def test_nothing_ran() -> None:
    assert all(part.recovered is None and not part.differs for part in beside().values())


@pytest.mark.parametrize(
    ("what", "changed", "said"),
    [
        ("trained", {"trained": "everything"}, "the tokens of the responses are trained, and no others ("),
        ("global batch", {"accumulation": 2}, "2 a micro-batch x 4 accumulated"),
        ("clipping", {"max_grad_norm": 0.25}, "at a norm of 0.5"),
        ("schedule", {"rule": replace(RULE, learning_rate=2e-3)}, "0.001 where it should be 0.002, 0.002, 0.002, over"),
        ("decay", {"rule": replace(RULE, groups=(Group(("*",), 0.1),))}, "0.01 (known to "),
        ("optimizer", {"rule": replace(RULE, beta1=0.8)}, "betas 0.9 and 0.999"),
    ],
)
def test_what_a_finding_is_of_is_marked(right: Judged, what: str, changed: dict[str, Any], said: str) -> None:
    part = beside(held_otherwise(right, **changed))[what]
    assert part.differs
    assert said in (part.recovered or "")


def test_a_mean_of_means_is_told_as_one(tmp_path: Path) -> None:
    part = beside(judged(tmp_path, WANTED, loss=loops.mean_of_means))["aggregation"]
    assert part.differs
    assert part.recovered == "a mean over the micro-batches, each averaged by itself"


def test_decay_is_told_of_matrices_and_of_the_others(right: Judged) -> None:
    matrices, others = (beside(right)["decay"].recovered or "").split("; ")
    assert matrices.startswith("0.01 (known to ")
    assert matrices.endswith(" matrices")
    assert others.endswith(" norms and biases")


@pytest.mark.parametrize(("rates", "said"), [((1e-7, 1e-7, 1e-7), "none"), ((1e-7, 1e-3, 1e-7), "0.01")])
def test_decay_is_told_by_the_step_with_the_largest_rate(tmp_path: Path, rates: tuple[float, ...], said: str) -> None:
    """Where it is below what rounding makes, it is none as far as is known."""
    part = beside(judged(tmp_path, WANTED, rate=lambda step: rates[step]))["decay"]
    assert (part.recovered or "").startswith(f"{said} (known to ")


def test_rates_of_the_real_schedule_come_from_its_own_run_alone(right: Judged) -> None:
    """The other run has a schedule of its own; where the first came to nothing, its rates are not told by it."""
    whole = replace(right, run=replace(right.run, name="whole"))
    found = beside(whole)
    assert found["learning rate"].recovered == recovered.UNTOLD
    assert (found["schedule"].recovered or "").endswith("over 3 steps")


def test_what_is_shrunk_says_so(right: Judged) -> None:
    shrunk = replace(right, run=replace(right.run, step=replace(STEP, ranks=8)))
    assert (beside(shrunk)["global batch"].recovered or "").endswith("x 1 ranks, shrunk")
