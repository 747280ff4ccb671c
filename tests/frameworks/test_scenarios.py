"""Scenarios that stand in no catalogue: files of a user's own, and the standard matrices."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.expressed import FRAMEWORKS
from scenarios import matrices
from tests.frameworks import command

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1800)]

MINE = """
name = "my-baseline"
responses = [9, 4, 14]

[window]
ranks = 1
accumulation = 2

[optimizer]
max_grad_norm = "none"

[optimizer.schedule]
decay = "cosine"
warmup_steps = 1
warmup_from = "zero"
"""


def test_a_scenario_in_a_file(tmp_path: Path, environments: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(MINE)
    run = command.run(tmp_path, environments, "--framework", "torch==2.13.0", "--scenario", str(mine))
    assert run.status == 0, run.said
    (cell,) = run.verdict.cells
    assert (cell.scenario, cell.verdict) == ("my-baseline", "pass")
    assert cell.command == f"lockstep run --framework torch==2.13.0 --scenario {mine}"


def test_the_smoke_matrix_of_the_reference(tmp_path: Path, environments: Path) -> None:
    run = command.run(tmp_path, environments, "--framework", "torch==2.13.0", "--matrix", "smoke")
    assert run.status == 0, run.said
    assert {c.scenario: c.verdict for c in run.verdict.cells} == dict.fromkeys(matrices.names("smoke", "torch"), "pass")


@pytest.mark.exhaustive
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("size", ["smoke", "nightly"])
def test_a_matrix_of_a_newest_release(size: str, framework: str, tmp_path: Path, environments: Path) -> None:
    """Nothing is refused, for the adapter itself was asked; nothing is wrong that is not known."""
    run = command.run(tmp_path, environments, "--framework", framework, "--matrix", size)
    assert run.status == 0, run.said
    assert len(run.verdict.cells) == len(matrices.names(size, framework))
    assert {c.verdict for c in run.verdict.cells} <= {"pass", "accepted"}


SGD = """
base = "sft-ragged-decay-all"

[optimizer]
kind = "sgd"
momentum = 0.9
learning_rate = 0.05
decayed = "{decayed}"
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_sgd_of_a_newest_release(framework: str, tmp_path: Path, environments: Path) -> None:
    mine = tmp_path / "sgd.toml"
    mine.write_text(SGD.format(decayed="all" if framework == "verl" else "matrices"))
    run = command.run(tmp_path, environments, "--framework", framework, "--scenario", str(mine))
    assert [c.verdict for c in run.verdict.cells] == ["unsupported" if framework == "openrlhf" else "pass"], run.said


SQUARES = """
base = "sft-ragged-decay-all"

[optimizer]
kind = "{kind}"
learning_rate = 0.003
eps = {eps}
decayed = "{decayed}"
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize(("kind", "eps"), [("adagrad", 1e-10), ("rmsprop", 1e-8)])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_squares_of_a_newest_release(framework: str, kind: str, eps: float, tmp_path: Path, environments: Path) -> None:
    mine = tmp_path / f"{kind}.toml"
    mine.write_text(SQUARES.format(kind=kind, eps=eps, decayed="all" if framework == "verl" else "matrices"))
    run = command.run(tmp_path, environments, "--framework", framework, "--scenario", str(mine))
    assert [c.verdict for c in run.verdict.cells] == ["unsupported" if framework == "openrlhf" else "pass"], run.said


SEVERAL = """
base = "{base}"

[data]
parts = {parts}
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_several_datasets_of_a_newest_release(framework: str, tmp_path: Path, environments: Path) -> None:
    asked = []
    for name, base, parts in (("given", "epochs", [5, 3, 6]), ("drawn", "shuffled", [5, 4, 7])):
        file = tmp_path / f"{name}.toml"
        file.write_text(SEVERAL.format(base=f"sft-ragged-{base}", parts=parts))
        asked += ["--scenario", str(file)]
    run = command.run(tmp_path, environments, "--framework", framework, *asked)
    right = {"given": "unsupported" if framework in ("openrlhf", "verl") else "pass", "drawn": "pass"}
    assert {c.scenario: c.verdict for c in run.verdict.cells} == right, run.said


BEYOND = """
base = "sft-ragged{sharded}"

[model]
vocab_size = 151
extra_rows = 24
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("sharded", ["", "-zero3", "-fsdp"])
def test_rows_beyond_the_vocabulary_of_a_newest_release(
    framework: str, sharded: str, tmp_path: Path, environments: Path
) -> None:
    """A prime number of rows, 24 of them of no token."""
    mine = tmp_path / "beyond.toml"
    mine.write_text(BEYOND.format(sharded=sharded))
    run = command.run(tmp_path, environments, "--framework", framework, "--scenario", str(mine))
    refuse = {"": (), "-zero3": ("torch", "ddp", "verl"), "-fsdp": ("torch", "ddp", "deepspeed", "openrlhf")}
    wanted = "unsupported" if framework in refuse[sharded] else "pass"
    assert [c.verdict for c in run.verdict.cells] == [wanted], run.said


BY_TOKENS = """
base = "sft-ragged-decay-all"

[window]
micro_batch_tokens = 70
"""


def test_micro_batches_by_tokens(tmp_path: Path, environments: Path) -> None:
    """As nearly every configuration of verl has them; what counts rows refuses them by name."""
    mine = tmp_path / "by-tokens.toml"
    mine.write_text(BY_TOKENS)
    chosen = [word for name in ("torch", "ddp", "fsdp2", "verl", "trl") for word in ("--framework", name)]
    run = command.run(tmp_path, environments, *chosen, "--scenario", str(mine))
    assert {c.framework: c.verdict for c in run.verdict.cells} == {
        **dict.fromkeys(("torch", "ddp", "fsdp2", "verl"), "pass"),
        "trl": "unsupported",
    }


IN_TURN = """
base = "sft-ragged"
responses = [5, 12, 9, 3, 7, 4]

[data]
parts = [5, 4, 7]
mixing = "{mixing}"
epochs = 2
"""


def test_datasets_in_turn(tmp_path: Path, environments: Path) -> None:
    """LLaMA-Factory hands `interleave_once` to a release of datasets that does not know it."""
    chosen = [word for name in ("torch", "llamafactory") for word in ("--framework", name)]
    for mixing in ("in-turn-until-first", "in-turn-until-last", "in-turn-once"):
        (tmp_path / f"{mixing}.toml").write_text(IN_TURN.format(mixing=mixing))
        chosen += ["--scenario", str(tmp_path / f"{mixing}.toml")]
    run = command.run(tmp_path, environments, *chosen)
    found = {(c.framework, c.scenario): c.verdict for c in run.verdict.cells}
    assert found.pop(("llamafactory", "in-turn-once")) == "unsupported"
    assert set(found.values()) == {"pass"}
    assert len(found) == 5
