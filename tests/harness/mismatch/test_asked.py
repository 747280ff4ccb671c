"""What a process that ended badly is said to have had, and which answers are kept."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import save_file

from harness.environments.environment import Environment
from harness.mismatch import asked, subject
from harness.mismatch.asked import Job
from harness.mismatch.sources import SOURCES
from harness.processes import Done, TimedOut

SOURCE = SOURCES[1]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(subject.own(0), tmp_path / "model", torch.zeros(2, 4, dtype=torch.int64), tmp_path, 60)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment("trl", "1.16.0", tmp_path / "python", tmp_path, tmp_path, "adapters.trl_sft", (), "0" * 16)


@pytest.mark.parametrize(
    ("code", "errors", "said"),
    [
        (1, "Traceback\n  File x\nRuntimeError: no head_dim=12\nreal\n", "RuntimeError: no head_dim=12"),
        (1, "[rank0]: torch.cuda.OutOfMemoryError: too much\n", "torch.cuda.OutOfMemoryError: too much"),
        (1, "usage: this\n", "usage: this"),
        (7, "", "it ended with status 7"),
        (-9, "ValueError: before\n", "killed by SIGKILL"),
    ],
)
def test_the_reason_is_the_last_line_that_names_an_error(code: int, errors: str, said: str) -> None:
    assert asked._reason(Done(code, "", errors)) == said


def test_an_answer_is_kept_for_what_it_was_asked_alone(job: Job, environment: Environment) -> None:
    assert asked.kept(job, SOURCE, "float32", environment) is None
    place = job.known(SOURCE, "float32", environment)
    place.parent.mkdir()
    save_file({"trl/chosen": torch.full((2, 3), -1.0, dtype=torch.float64)}, place)
    found = asked.kept(job, SOURCE, "float32", environment)
    assert found is not None
    assert found["trl"]["chosen"].shape == (2, 3)
    assert asked.kept(job, SOURCE, "float16", environment) is None
    other = Job(job.scenario, job.checkpoint, job.ids + 1, job.out, job.timeout)
    assert asked.kept(other, SOURCE, "float32", environment) is None


def test_an_answer_of_another_shape_or_half_of_one_is_none(job: Job, environment: Environment) -> None:
    place = job.known(SOURCE, "float32", environment)
    place.parent.mkdir()
    save_file({"trl/chosen": torch.zeros(2, 4, dtype=torch.float64)}, place)
    assert asked.kept(job, SOURCE, "float32", environment) is None
    place.write_bytes(place.read_bytes()[:40])
    assert asked.kept(job, SOURCE, "float32", environment) is None


def test_one_that_takes_too_long_is_said_to(job: Job, environment: Environment) -> None:
    with patch.object(asked.processes, "run", side_effect=TimedOut), pytest.raises(asked.NoAnswer, match="after 60 s"):
        asked.ask(job, SOURCE, "float32", environment)
    assert list((job.out / asked.ANSWERS).iterdir()) == []
