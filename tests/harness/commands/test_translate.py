"""`lockstep translate` without a run: settings on stdout alone, and what remains different on stderr."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness import cli
from harness.verdicts import verdict
from tests.harness.translating.test_table import RUN


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = cli.call(["translate", *words, "--no-run"])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_nothing_remains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grpo.yaml").write_text("num_generations: 4\nscale_rewards: none\nlearning_rate: 1e-6\n")
    status, out, err = call(capsys, f"trl:{tmp_path / 'grpo.yaml'}", "verl", "--ranks", "2")
    assert status == 0
    assert "actor_rollout_ref.actor.loss_agg_mode=token-mean\n" in out
    assert "trainer.n_gpus_per_node=2\n" in out
    assert "not read: learning_rate" in err
    assert "nothing that is read remains different" in err


def test_what_is_printed_is_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grpo.yaml").write_text("num_generations: 4\nscale_rewards: none\n")
    _, out, _ = call(capsys, f"trl:{tmp_path / 'grpo.yaml'}", "verl", "--ranks", "2")
    (tmp_path / "verl.txt").write_text(out)
    status, back, _ = call(capsys, f"verl:{tmp_path / 'verl.txt'}", "trl")
    assert status == 0
    assert yaml.safe_load(back)["loss_type"] == "dapo"


def test_something_remains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dpo.yaml").write_text("loss_type: ipo\nbeta: 0.2\n")
    status, out, err = call(capsys, f"trl==0.16.1:{tmp_path / 'dpo.yaml'}", "openrlhf")
    assert status == 1
    assert out.splitlines()[0] == "--model.beta 0.2"
    assert "openrlhf adds up the log ratios of a row" in err


def test_a_script_of_verl(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "algorithm.adv_estimator=grpo actor_rollout_ref.rollout.n=8 trainer.n_gpus_per_node=2"
    (tmp_path / "run_grpo.sh").write_text(f"python3 -m verl.trainer.main_ppo {words}\n")
    status, out, err = call(capsys, f"verl:{tmp_path / 'run_grpo.sh'}", "openrlhf")
    assert status == 1
    assert "--actor.dual_clip 3.0\n" in out
    assert "1e-9 is added" in err


def test_groups_of_one_are_told_and_the_nearest_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grpo.txt").write_text("algorithm.adv_estimator=grpo\n")
    for target, least in (("trl", "num_generations: 2\n"), ("openrlhf", "--rollout.n_samples_per_prompt 2\n")):
        status, out, err = call(capsys, f"verl:{tmp_path / 'grpo.txt'}", target)
        assert status == 1
        assert least in out
        assert f"{target} has no groups of 1" in err


def test_one_rank_is_told_where_nobody_says_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grpo.yaml").write_text("num_generations: 4\n")
    (tmp_path / "dpo.yaml").write_text("loss_type: sigmoid\n")
    line = "1 data-parallel rank; say --ranks if there are more"
    assert line in call(capsys, f"trl:{tmp_path / 'grpo.yaml'}", "verl")[2]
    assert line not in call(capsys, f"trl:{tmp_path / 'grpo.yaml'}", "verl", "--ranks", "8")[2]
    assert line not in call(capsys, f"trl:{tmp_path / 'dpo.yaml'}", "openrlhf")[2]


def test_what_has_no_meaning_is_status_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grpo.yaml").write_text("loss_type: sapo\nnum_generations: 4\n")
    status, out, err = call(capsys, f"trl:{tmp_path / 'grpo.yaml'}", "verl")
    assert (status, out) == (3, "")
    assert "loss_type=sapo is no objective" in err


def test_the_tables_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict.write(RUN, tmp_path)
    for option in ("--json", "--markdown"):
        assert cli.call(["objectives", str(tmp_path), option]) == 0
        assert "arXiv 2503.14476" in capsys.readouterr().out
    assert cli.call(["objectives", str(tmp_path)]) == 0
    assert "same update: trl==1.16.0, verl==0.9.1" in capsys.readouterr().out
