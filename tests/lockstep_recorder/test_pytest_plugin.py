"""The fixture in the test suite of a small library (`tests/library`), run by a pytest of its own, as strangers do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from lockstep_recorder.pytest_plugin import Run

LIBRARY = Path(__file__).parents[1] / "library"


def ran(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """pytest in a folder of its own, with nothing of this one."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    for name in ("CI", "BUILD_NUMBER"):  # where pytest cuts nothing off its lines
        own.pop(name, None)
    env = {**own, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", "--tb=short", "-q", *options]
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    return Path(shutil.copytree(LIBRARY, tmp_path / "tinylm", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.slow
def test_a_fault_fails_the_librarys_own_test_with_the_diagnosis(
    suite: Path, tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    done = ran(suite, f"--basetemp={tmp_path / 'kept'}")
    assert done.returncode == 1, done.stdout + done.stderr
    said = re.sub(r" in \d+\.\d+s.*", "", done.stdout).replace(str(tmp_path), "TMP")
    assert said == snapshot
    assert (tmp_path / "kept/test_a_micro_batch_is_dropped0/lockstep-0/end.json").is_file()


def test_a_suite_that_does_not_use_it_never_imports_torch(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n"
        "def test_other():\n"
        "    assert 'lockstep_recorder.pytest_plugin' in sys.modules\n"
        "    assert not {'torch', 'harness', 'numpy', 'pydantic'} & set(sys.modules)\n"
    )
    done = ran(tmp_path, "-p", "no:syrupy", "-p", "no:hypothesispytest")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_library_that_has_a_harness_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be judged says why, and no package of a suite keeps pytest from starting: ours has another name."""
    monkeypatch.setitem(sys.modules, "harness.recordings", None)
    monkeypatch.setitem(sys.modules, "harness.recordings.asserting", None)
    with pytest.raises(pytest.fail.Exception, match="is there another package called harness before Lockstep's"):
        Run(tmp_path).assert_right()


HELPERS = """
import tinylm, torch

def made():
    torch.manual_seed(0)
    model = tinylm.LanguageModel()
    return model, torch.optim.AdamW(model.parameters(), lr=1e-3)
"""

SEVERAL = (
    HELPERS
    + """
from harness.intent.intent import Group, Intent, Mean, Rule

WANTED = dict(rule=Rule((Group(("*",), 0.01),)), steps=3, ranks=1)

def test_two_watches_are_apart(lockstep):
    (one, mine), (other, theirs) = made(), made()
    with lockstep.watch(one, mine) as right, lockstep.watch(other, theirs, steps=[1]) as dropping:
        tinylm.finetune(one, mine, tinylm.conversations(3))
        tinylm.finetune(other, theirs, tinylm.conversations(3), forget_first=True)
    right.assert_right()
    assert set(right.weights) == {0, 1, 2}
    assert [f.code for f in dropping.told.findings] == ["weights.dropped-micro-batches"]
    tokens = dropping.weights[1]
    assert float(tokens.weights[tokens.micro_batch == 0].abs().max()) < 1e-6
    assert float(tokens.weights[tokens.micro_batch == 1].max()) > 0.02

def test_intents(lockstep, tmp_path):
    model, optimizer = made()
    with lockstep.watch(model, optimizer) as run:
        tinylm.finetune(model, optimizer, tinylm.conversations(3), average="micro-batches")
    run.assert_right()
    run.assert_weights("micro-batch")
    run.assert_weights(Mean("row"))
    run.assert_weights(Intent(**WANTED, accumulation=3, aggregation=Mean("micro-batch")))

def test_a_wrong_intent(lockstep):
    model, optimizer = made()
    with lockstep.watch(model, optimizer) as run:
        tinylm.finetune(model, optimizer, tinylm.conversations(3))
    run.assert_weights(Intent(**WANTED, accumulation=4, max_grad_norm=0.5))

def test_no_intent(lockstep):
    model, optimizer = made()
    with lockstep.watch(model, optimizer) as run:
        tinylm.finetune(model, optimizer, tinylm.conversations(1))
    run.assert_weights("tokens")

def test_an_unknown_that_is_allowed(lockstep):
    model, optimizer = made()
    model.head.weight.requires_grad_(False)
    with lockstep.watch(model, optimizer) as run:
        tinylm.finetune(model, optimizer, tinylm.conversations(1))
    run.assert_right(allow_unknown="the head is frozen")
    run.assert_right()
"""
)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_several_watches_intents_and_what_is_unknown(suite: Path) -> None:
    """On the workers of xdist."""
    (suite / "test_more.py").write_text(SEVERAL)
    done = ran(suite, "-n", "2", "test_more.py")
    assert "3 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    parts = re.split(r"\n_{5,} (\w+) _{5,}\n", done.stdout.partition("short test summary")[0])
    said = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert set(said) == {"test_a_wrong_intent", "test_no_intent", "test_an_unknown_that_is_allowed"}
    assert "E     inputs.batch  steps 0, 1, 2: " in said["test_a_wrong_intent"]
    assert "E     update.clip  step 0: the gradient " in said["test_a_wrong_intent"]
    assert "tokens is no file with an intent, and no aggregation such as token, micro-batch" in said["test_no_intent"]
    unknown = said["test_an_unknown_that_is_allowed"]
    assert "E   Failed: lockstep: it is not known whether the training is right" in unknown
    assert "unknown  the weights of step 0's tokens: the head is frozen, and no trained matrix" in unknown
    assert "update.learning-rate" not in unknown
    assert unknown.count("in test_an_unknown_that_is_allowed") == 1
