"""The command line on wrong and on damaged input: one line that says what to do, and never a traceback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import scenarios
from adapters.contract import HEADER, TRACE_SCHEMA, to_dict
from harness import cli
from harness.commands.explain import pick
from harness.commands.options import finite
from harness.commands.stop import Stop
from harness.verdicts import verdict
from harness.verdicts.verdict import CellRecord, Verdict


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status, and the one line on stderr of a command that does nothing else."""
    status = cli.call(arguments)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("lockstep: ")
    assert said.err.count("\n") == 1
    return status, said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--framework", "torhc"], "did you mean 'torch'?"),
        (["run", "--framework", "megatron"], "(known: ddp, deepspeed, "),
        (["run", "--framework", "deepspeed=0.18.9"], "did you mean 'deepspeed==0.18.9'?"),
        (["run", "--framework", "deepspeed>=0.18"], "no single release"),
        (["run", "--framework", "deepspeed==latest"], "not one exact version"),
        (["run", "--framework", "deepspeed==0.1.0"], "recipes cover deepspeed"),
        (["run", "--framework", ""], "unknown framework"),
        (["run", "--scenario", "sft-raged"], "did you mean sft-ragged"),
        (["run", "--scenario", "rl-*"], "lockstep list scenarios"),
        (["run", "--scenario", "sft-ragged@one"], "no seed"),
        (["run", "--framework", "torch", "--fault", "keep-frist"], "did you mean keep-first"),
        (["run", "--framework", "deepspeed", "--fault", "keep-first"], "for the torch reference"),
        (["run", "--patch", "deepspeed-offload"], "add --framework NAME==VERSION"),
        (["run", "--framework", "deepspeed", "--patch", "deepspeed-onload"], "No such file"),
        (["run", "--framework", "deepspeed", "--patch", "."], "Is a directory"),
        (["run", "--framework", "deepspeed", "--patch", cli.__file__], "no function apply()"),
        (["run", "--launcher", "slurm"], "--launcher"),
        (["run", "--device", "tpu"], "--device"),
        (["run", "--jobs", "0"], "--jobs"),
        (["run", "--seeds", "many"], "--seeds"),
        (["run", "--timeout", "-1"], "--timeout"),
        (["run", "--resume", "--framework", "torch"], "name it with --out"),
        (["run", "--frobnicate"], "--frobnicate"),
        (["run", "surplus"], "surplus"),
        (["list", "planets"], "planets"),
        (["list"], "lockstep list --help"),
        (["explain"], "lockstep explain --help"),
        (["explain", "nowhere"], "no folder"),
        (["explain", "."], "neither a run"),
        (["judge", "nowhere"], "no folder"),
        (["judge"], "lockstep judge --help"),
        (["compare", "nowhere", "nowhere"], "no folder"),
        (["compare", "."], "lockstep compare --help"),
        (["frobnicate"], "frobnicate"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line_and_status_2(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    status, line = refused(capsys, *arguments)
    assert status == 2
    assert said in line
    assert list(here.iterdir()) == []


FUZZ = "fuzz --framework torch --out new"
DETECT = "detect --out new"
RELATE = "relate --framework torch --out new"
APART = "mismatch --out new"
STAIRS = "staircase --framework torch --fault drop-intermediate --out new"
POLICIES = "mismatch-training --out new"
TRANSLATE = "translate trl:grpo.yaml verl"
ON_A_CLUSTER = ("run", "nightly", "bisect trl --scenario sft-equal", FUZZ)
NUMBERS = {
    "--timeout": (*ON_A_CLUSTER, "stock", DETECT, RELATE, STAIRS, APART, TRANSLATE),
    "--jobs": (*ON_A_CLUSTER, "stock", DETECT, RELATE, STAIRS, APART, POLICIES, TRANSLATE),
    "--seeds": ("run", STAIRS, POLICIES),
    "--steps": (STAIRS, POLICIES),
    "--ranks": ("run", TRANSLATE),
    **dict.fromkeys(
        ("--nodes", "--nnodes", "--cpus"), (*ON_A_CLUSTER, "record true --out recording", "validate --plan")
    ),
    "--minutes": (FUZZ, DETECT),
    "--seed": (FUZZ, APART),
    "--keep-days": ("nightly",),
    "--keep-gib": ("nightly",),
    "--older-than": ("env prune",),
    "--limit": ("history",),
    "--every": ("record true --out recording",),
    "--world": ("validate --plan",),
    "--rows": ("validate --plan", APART),
    "--length": (APART,),
}


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e400", "-1", "1e300", str(10**30)])
@pytest.mark.parametrize(
    "command", [f"{command} {option}" for option, commands in NUMBERS.items() for command in commands]
)
def test_a_number_that_cannot_be_meant_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], command: str, value: str
) -> None:
    if command.startswith("history") and value == str(10**30):
        return  # as many as there are
    status, line = refused(capsys, *command.split(), value)
    assert status == 2
    assert command.rsplit(maxsplit=1)[-1] in line
    assert list(here.iterdir()) == []


def test_every_number_on_the_command_line_is_bounded() -> None:
    """`history --limit` shows no more than there is."""
    numbers = [(name, option) for name, option, kinds in options() if {int, float} & kinds]
    assert sorted(names for names, _ in numbers) == sorted(
        f"{command} {option}" for option, commands in NUMBERS.items() for command in map(without_options, commands)
    )
    assert [name for name, option in numbers if option.max is None] == ["history --limit"]
    assert all(option.callback is finite for _, option, kinds in options() if float in kinds)


def options() -> Iterator[tuple[str, Any, set[type]]]:
    """Every option of every command, by its place, with the types that it takes."""
    groups = [("", cli.app), *((f"{group.name} ", group.typer_instance) for group in cli.app.registered_groups)]
    for before, app in groups:
        for command in app.registered_commands:
            assert command.callback is not None
            verb = f"{before}{command.name or command.callback.__name__}"
            for name, hint in get_type_hints(command.callback, include_extras=True).items():
                for option in getattr(hint, "__metadata__", ()):
                    taken = {hint.__origin__, *get_args(hint.__origin__)}
                    yield f"{verb} {(option.param_decls or [spelled(name)])[0]}", option, taken


def spelled(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def without_options(command: str) -> str:
    return re.split(r" trl| true| --framework| --out| --plan", command)[0]


def test_a_folder_with_other_things_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "thesis.tex").write_text("precious")
    assert refused(capsys, "run", "--framework", "torch", "--out", str(here))[0] == 2
    assert refused(capsys, "run", "--framework", "torch", "--out", "thesis.tex")[0] == 2
    assert (here / "thesis.tex").read_text() == "precious"


DAMAGED = {
    "empty": "",
    "truncated": '{"schema": 1, "cells": [{"framework": "torch"',
    "newer": '{"schema": 99, "cells": []}',
    "other": "[1, 2, 3]",
    "binary": "\x00\x01",
    "wrong types": '{"schema": 1, "cells": [{"framework": 7}]}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("command", ["explain", "judge"])
def test_a_damaged_verdict_is_status_3(
    here: Path, capsys: pytest.CaptureFixture[str], command: str, content: str
) -> None:
    (here / "verdict.json").write_text(content)
    status, line = refused(capsys, command, ".")
    assert status == 3
    assert "verdict.json" in line


def test_a_damaged_verdict_cannot_be_resumed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "verdict.json").write_text("{")
    assert refused(capsys, "run", "--framework", "torch", "--out", ".", "--resume")[0] == 3
    assert (here / "verdict.json").read_text() == "{"


def header(here: Path, **changes: object) -> None:
    scenario = scenarios.get("sft-equal")
    whole = {
        "schema": TRACE_SCHEMA,
        "framework": "torch",
        "version": "2.13.0",
        "adapter": "adapters.torch_sft",
        "scenario": to_dict(scenario),
        "scenario_hash": scenario.hash,
        "ranks": 2,
    }
    (here / HEADER).write_text(json.dumps(whole | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": TRACE_SCHEMA + 1},
        {"schema": "one"},
        {"scenario_hash": "0" * 16},
        {"scenario": {}},
        {"scenario": to_dict(replace(scenarios.get("sft-equal"), seed=1))},
    ],
    ids=["newer", "no schema", "another hash", "no scenario", "an edited scenario"],
)
@pytest.mark.parametrize("command", ["explain", "judge"])
def test_a_trace_that_cannot_be_trusted_is_status_3(
    here: Path, capsys: pytest.CaptureFixture[str], command: str, changes: dict[str, object]
) -> None:
    header(here, **changes)
    assert refused(capsys, command, ".")[0] == 3


def test_a_trace_of_a_crashed_run_is_unknown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header(here)
    (here / "log-r01.txt").write_text("starting\nValueError: out of luck\n")
    assert cli.call(["judge", "."]) == 3
    assert "1 unknown" in capsys.readouterr().out
    cli.call(["explain", "."])
    told = capsys.readouterr().out
    assert "did not end by itself" in told
    assert "ValueError: out of luck" in told
    assert cli.call(["compare", ".", "."]) == 3


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.call(["--version"]) == 0
    assert capsys.readouterr().out.startswith("lockstep ")
    for command in ("run", "list", "explain", "compare", "judge", "history", "doctor", "env"):
        assert cli.call([command, "--help"]) == 0


def test_help_imports_neither_torch_nor_numpy() -> None:
    code = "import sys; from harness.cli import call; call(['--help']); print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("subject", ["scenarios", "frameworks", "faults", "findings"])
def test_lists_as_text_and_as_json(capsys: pytest.CaptureFixture[str], subject: str) -> None:
    assert cli.call(["list", subject, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert all(entry["name"] and entry["what"] for entry in entries)
    assert cli.call(["list", subject]) == 0
    text = capsys.readouterr().out
    assert all(entry["name"] in text for entry in entries)


CELLS = [
    CellRecord(framework="torch", version="2.13.0", scenario="sft-ragged", verdict="pass"),
    CellRecord(framework="deepspeed", version="0.18.9", scenario="sft-ragged", verdict="unknown", reason="rank 1 died"),
    CellRecord(framework="deepspeed", version="0.18.9", scenario="sft-ragged-zero2", verdict="fail"),
]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (None, "deepspeed==0.18.9/sft-ragged-zero2"),
        ("torch==2.13.0/sft-ragged", "torch==2.13.0/sft-ragged"),
        ("deepspeed==0.18.9/sft-ragged", "deepspeed==0.18.9/sft-ragged"),
        ("zero2", "deepspeed==0.18.9/sft-ragged-zero2"),
        ("torch*", "torch==2.13.0/sft-ragged"),
    ],
)
def test_picking_a_cell(wanted: str | None, name: str) -> None:
    assert pick(CELLS, wanted).name == name


@pytest.mark.parametrize(("wanted", "said"), [("deepspeed*", "fits 2 cells"), ("torch==2/sft", "did you mean")])
def test_cells_that_cannot_be_picked(wanted: str, said: str) -> None:
    with pytest.raises(Stop, match=said):
        pick(CELLS, wanted)


def test_a_cell_without_a_trace_is_explained_by_its_reason(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict.write(Verdict(cells=[CELLS[1]]), here)
    assert cli.call(["explain", "."]) == 3
    assert "rank 1 died" in capsys.readouterr().out


def test_judging_a_run_without_traces_keeps_what_is_known(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict.write(Verdict(cells=[CELLS[1]]), here)
    assert cli.call(["judge", ".", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["summary"] == {"unknown": 1}
