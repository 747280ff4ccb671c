"""`lockstep record` around real commands: what it hands on, what it leaves, and how it ends."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from harness import cli
from harness.recordings import making

SCRIPT = """
import os, signal, sys
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.norm, self.head = nn.Embedding(300, 16), nn.LayerNorm(16), nn.Linear(16, 300, bias=False)
    def forward(self, input_ids, labels=None):
        return self.head(self.norm(self.embed(input_ids)))

torch.manual_seed(0)
if "forks" in sys.argv:
    torch.set_num_threads(1)
if "disk" in sys.argv:  # no file may grow beyond this: as on a full disk, but for its error
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
other = torch.nn.Linear(3, 3)
others = torch.optim.SGD(other.parameters(), lr=0.1)
model = Model().train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for step in range(4):
    for _ in range(2):
        ids = torch.randint(300, (1, 9))
        logits = model(ids, labels=ids)
        nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:], reduction="sum").div(16).backward()
    if "two" in sys.argv:
        other(torch.ones(1, 3)).sum().backward()
        others.step()
    optimizer.step()
    optimizer.zero_grad()
    if "forks" in sys.argv and step == 0 and os.fork() == 0:
        sys.argv.remove("forks")
        sys.argv.append("forked")
    if "killed" in sys.argv and step == 1:
        os.kill(os.getpid(), signal.SIGKILL)
if "forked" in sys.argv:
    os._exit(0)
if "forks" in sys.argv:
    assert os.wait()[1] == 0
print(sum(float(p.detach().sum()) for p in model.parameters()))
sys.exit(7 if "fails" in sys.argv else 0)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return path


def record(out: Path, *command: object, options: tuple[str, ...] = ()) -> int:
    return cli.call(["record", "--out", str(out), *options, "--", *map(str, command)])


def test_a_command_is_recorded_and_told(tmp_path: Path, script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert record(tmp_path / "out", sys.executable, script) == 0
    assert "recorded steps 0-2 of 1 rank" in capfd.readouterr().out
    assert cli.call(["judge", str(tmp_path / "out")]) == 0
    said = capfd.readouterr().out
    assert "every trained token of 2 micro-batches on 1 rank weighs 1/16: a mean over the tokens of the window" in said


@pytest.mark.exhaustive
def test_as_json(tmp_path: Path, script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "out", sys.executable, script, options=("--steps", "1,3"))
    capfd.readouterr()
    cli.call(["judge", "--json", str(tmp_path / "out")])
    (found,) = json.loads(capfd.readouterr().out)
    assert (found["steps"], found["findings"], found["unknown"]) == ([1, 3], [], [])


@pytest.mark.exhaustive
def test_every_other_step(tmp_path: Path, script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert record(tmp_path / "out", sys.executable, script, options=("--every", "2")) == 0
    assert "recorded 2 steps from 0 to 2" in capfd.readouterr().out


def test_no_token_is_kept_unless_asked_for(tmp_path: Path, script: Path) -> None:
    record(tmp_path / "without", sys.executable, script)
    record(tmp_path / "with", sys.executable, script, options=("--keep-tokens",))

    def names(folder: Path) -> set[str]:
        return set(json.loads((folder / "steps-r00.jsonl").read_text().splitlines()[0])["shapes"])

    assert names(tmp_path / "with") - names(tmp_path / "without") == {"token/target"}


@pytest.mark.exhaustive
def test_the_training_computes_what_it_would(tmp_path: Path, script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "out", sys.executable, script)
    watched = capfd.readouterr().out.splitlines()[0]
    record(tmp_path / "none", sys.executable, script, options=("--steps", "900"))
    assert capfd.readouterr().out.splitlines()[0] == watched


def test_the_status_is_the_commands(tmp_path: Path, script: Path) -> None:
    assert record(tmp_path / "out", sys.executable, script, "fails") == 7


def test_what_a_killed_training_has_left_is_told(
    tmp_path: Path, script: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert record(tmp_path / "out", sys.executable, script, "killed") == 128 + signal.SIGKILL
    assert "recorded steps 0-1" in capfd.readouterr().out
    assert cli.call(["judge", str(tmp_path / "out")]) == 0


def test_a_line_that_a_full_disk_has_cut_off_is_taken_out(
    tmp_path: Path, script: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The training writes the half line here, as it ends."""
    out = tmp_path / "out"
    half = f"open({str(out / 'steps-r00.jsonl')!r}, 'a').write('half a li')\n"
    script.write_text(SCRIPT.replace("sys.exit(", f"{half}sys.exit("))
    assert record(out, sys.executable, script) == 0
    assert "recorded steps 0-2" in capfd.readouterr().out
    assert cli.call(["judge", str(out)]) == 0


def test_a_sitecustomize_of_the_users_is_run(
    tmp_path: Path, script: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/sitecustomize.py").write_text("print('mine')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "own"))
    assert record(tmp_path / "out", sys.executable, script) == 0
    said = capfd.readouterr().out
    assert said.startswith("mine\n")
    assert "recorded steps 0-2" in said


def test_a_training_that_forks(tmp_path: Path, script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Both go on training; one of them writes."""
    assert record(tmp_path / "out", sys.executable, script, "forks") == 0
    told = capfd.readouterr()
    assert "recorded steps 0-2 of 1 rank" in told.out
    assert "another process records rank 0 into this folder" in told.err
    assert cli.call(["judge", str(tmp_path / "out")]) == 0


def test_a_training_of_two_models(tmp_path: Path, script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert record(tmp_path / "out", sys.executable, script, "two") == 0
    told = capfd.readouterr()
    assert "recorded steps 0-2 of 1 rank" in told.out
    assert told.err.count("lockstep: another model is trained as well, which is not recorded\n") == 1
    assert cli.call(["judge", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize("room", [pytest.param(500, marks=pytest.mark.exhaustive), 20_000])
def test_a_full_disk_does_not_harm_the_training(
    tmp_path: Path, script: Path, room: int, capfd: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "alone", sys.executable, script)
    alone = capfd.readouterr().out.splitlines()[0]
    status = record(tmp_path / "out", sys.executable, script, "disk", str(room))
    told = capfd.readouterr()
    assert told.out.splitlines()[0] == alone
    assert "the recording ends at step 0: OSError" in told.err
    assert status == 3
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with making._signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert callable(signal.getsignal(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_command_that_trains_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert record(tmp_path / "out", "true") == 3
    assert "nothing was recorded" in capfd.readouterr().err


def test_wrong_usage(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    assert record(tmp_path / "full", "true") == 2
    assert record(tmp_path / "out", "no-such-command-anywhere") == 2
    assert record(tmp_path / "out2", "true", options=("--steps", "3-1")) == 2
    assert cli.call(["record", "--out", str(tmp_path / "out3")]) == 2
    assert len(capfd.readouterr().err.splitlines()) == 4


@pytest.mark.slow
def test_shards_of_two_ranks_add_up(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """FSDP2, the rows of the head cut unevenly."""
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    assert record(tmp_path / "out", *words, Path(__file__).with_name("fsdp2_loop.py")) == 0
    assert "recorded steps 0-1 of 2 ranks" in capfd.readouterr().out
    assert cli.call(["judge", str(tmp_path / "out")]) == 0
    said = capfd.readouterr().out
    assert "every trained token of 3 micro-batches on 2 ranks weighs 1/82: a mean over the tokens of the window" in said
