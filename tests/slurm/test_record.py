"""`lockstep record --on slurm`, on a real Slurm of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lockstep_recorder.names import END
from tests.frameworks.command import wait_until
from tests.frameworks.recorded import LOCKSTEP
from tests.harness.recordings.test_making import SCRIPT
from tests.slurm.cluster import Cluster

pytestmark = [pytest.mark.exhaustive, pytest.mark.slow, pytest.mark.timeout(300)]

TRAINING = SCRIPT.rpartition("sys.exit(")[0]
NAP = "import time\nprint('asleep', flush=True)\ntime.sleep(100)\n"


class Recording:
    """A command that is recorded in a job."""

    def __init__(self, folder: Path, script: str, *options: str) -> None:
        (folder / "train.py").write_text(script)
        self.out = folder / "recording"
        words = [
            LOCKSTEP,
            "record",
            "--on",
            "slurm",
            "--out",
            str(self.out),
            *options,
            "--",
            sys.executable,
            "train.py",
        ]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, **pipes)

    @property
    def begun(self) -> bool:
        """Whether the command has printed anything."""
        return any(path.stat().st_size for path in self.out.glob("recorder/job/printed/*.out"))

    def finish(self, timeout: float = 120.0) -> tuple[int, str, str]:
        """Its status, and what it has printed on both streams."""
        printed, said = self.process.communicate(timeout=timeout)
        return self.process.returncode, printed, said


def test_it_is_what_is_recorded_here(slurm: Cluster, tmp_path: Path) -> None:
    status, printed, said = Recording(tmp_path, f"{TRAINING}print('to err', file=sys.stderr)\n").finish()
    assert status == 0, said
    assert "recorded steps 0-2 of 1 rank" in printed
    assert "to err" in said
    assert (tmp_path / "recording" / END).exists()
    assert not (tmp_path / "recording" / "recorder" / "job").exists()
    here = tmp_path / "here"
    words = [LOCKSTEP, "record", "--out", str(here), "--", sys.executable, "train.py"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=100)
    assert _tensors(here) == _tensors(tmp_path / "recording") != {}


def test_the_status_is_that_of_the_command(slurm: Cluster, tmp_path: Path) -> None:
    status, printed, _ = Recording(tmp_path, "print('one', flush=True)\nraise SystemExit(7)\n").finish()
    assert (status, printed) == (7, "one\n")


def test_each_node_runs_the_command(slurm: Cluster, tmp_path: Path) -> None:
    script = "import os\nprint(os.environ['SLURMD_NODENAME'])\nraise SystemExit(4 * int(os.environ['SLURM_PROCID']))\n"
    status, printed, _ = Recording(tmp_path, script, "--nnodes", "2").finish()
    assert status == 4
    assert sorted(printed.split()) == ["node1", "node2"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_job(slurm: Cluster, tmp_path: Path, number: int) -> None:
    running = Recording(tmp_path, NAP)
    assert wait_until(lambda: running.begun, 60)
    running.process.send_signal(number)
    status, printed, _ = running.finish(60)
    assert (status, printed) == (130, "asleep\n")
    assert slurm.jobs() == []


def test_what_was_recorded_before_a_node_was_lost_is_kept(slurm: Cluster, tmp_path: Path) -> None:
    running = Recording(tmp_path, TRAINING + NAP)
    assert wait_until(lambda: running.begun, 60)
    slurm.kill(node := slurm.jobs("%N")[0])
    try:
        status, printed, said = running.finish(120)
    finally:
        slurm.start_node(node)
    assert status == 3
    assert "recorded steps 0-2 of 1 rank" in printed
    assert "has lost a node" in said.splitlines()[-1]


def test_a_job_that_is_cancelled_is_told(slurm: Cluster, tmp_path: Path) -> None:
    running = Recording(tmp_path, NAP)
    assert wait_until(lambda: running.begun, 60)
    slurm.ask("scancel", *slurm.jobs())
    status, _, said = running.finish(60)
    assert status == 3
    assert "was cancelled" in said.splitlines()[-1]


def test_a_job_that_ends_before_all_nodes_have_done_is_told(slurm: Cluster, tmp_path: Path) -> None:
    script = f"import os\nif os.environ['SLURM_PROCID'] == '0':\n    raise SystemExit(0)\n{NAP}"
    running = Recording(tmp_path, script, "--nnodes", "2")
    assert wait_until(lambda: running.begun, 60)
    slurm.ask("scancel", *slurm.jobs())
    status, _, said = running.finish(100)
    assert status == 3
    assert "was cancelled" in said.splitlines()[-1]


def test_nothing_of_the_folder_it_is_typed_in_is_imported(slurm: Cluster, tmp_path: Path) -> None:
    for name in ("harness", "adapters", "secrets", "queue"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')\n")
    status, printed, _ = Recording(tmp_path, "print('one', flush=True)\nraise SystemExit(7)\n").finish()
    assert (status, printed) == (7, "one\n")


def test_a_job_without_time_is_told(slurm: Cluster, tmp_path: Path) -> None:
    """Slurm ends it within a minute after its time."""
    status, printed, said = Recording(tmp_path, NAP.replace("100", "200"), "--time", "1").finish(200)
    assert (status, printed) == (3, "asleep\n")
    assert "ran out of time; give it more by --time" in said.splitlines()[-1]


def test_no_command_outlives_a_killed_recording(slurm: Cluster, tmp_path: Path) -> None:
    script = f"import os\nopen('process', 'w').write(str(os.getpid()))\n{NAP}"
    running = Recording(tmp_path, script)
    assert wait_until(lambda: running.begun, 60)
    running.process.kill()
    running.finish()
    assert slurm.quiet(100)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "process").read_text()), 0)


def test_a_controller_that_is_away_for_a_while_changes_nothing(slurm: Cluster, tmp_path: Path) -> None:
    running = Recording(tmp_path, "import time\nprint('one', flush=True)\ntime.sleep(15)\nprint('two')\n")
    assert wait_until(lambda: running.begun, 60)
    slurm.kill("slurmctld")
    slurm.start_controller()
    status, printed, _ = running.finish(120)
    assert (status, printed) == (3, "one\ntwo\n"), "nothing was recorded, and all was printed"


def test_a_command_that_is_not_there_is_told(slurm: Cluster, tmp_path: Path) -> None:
    words = [LOCKSTEP, "record", "--on", "slurm", "--out", "recording", "--", "missing-command"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 126
    assert "missing-command cannot be run" in done.stderr


def test_what_slurm_refuses_is_told(slurm: Cluster, tmp_path: Path) -> None:
    status, _, said = Recording(tmp_path, NAP, "--partition", "nowhere").finish()
    assert status == 3
    assert said.splitlines()[-1].startswith("lockstep: sbatch: invalid partition")
    assert list((tmp_path / "recording").iterdir()) == []


def _tensors(recording: Path) -> dict[str, str]:
    """The digest of each file of tensors."""
    files = json.loads((recording / END).read_text())["files"]
    return {name: digest for name, digest in files.items() if name.startswith("tensors/")}
