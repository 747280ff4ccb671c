from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import cli
from harness.history import store
from harness.history.store import History
from harness.verdicts.verdict import CellRecord, DiagnosisRecord


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command looks; nothing is there yet."""
    path = tmp_path / "kept" / "history.sqlite"
    monkeypatch.setenv(store.VARIABLE, str(path))
    return path


def add(path: Path, framework: str, version: str, verdict: str = "pass", **more: object) -> None:
    fields = {"framework": framework, "version": version, "scenario": "sft-ragged", "verdict": verdict}
    key = {"environment": "e", "scenario_hash": "s"}
    History.open(path).add(CellRecord.model_validate({**fields, **key, **more}))


@pytest.fixture
def filled(path: Path) -> Path:
    add(path, "torch", "2.13.0")
    causes = [
        DiagnosisRecord(cause=c, kind=f"{c}: x", summary="", explains=1.0, codes=[], evidence="")
        for c in ("mean-of-means", "clipping")
    ]
    add(path, "deepspeed", "0.18.9", "fail", diagnoses=causes, seed=3)
    add(path, "deepspeed", "0.19.8", "unknown", scenario="sft-equal", reason="rank 1 died")
    return path


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert cli.call(["history", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_nothing_is_one_line_and_makes_no_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines(capsys)
    assert "no outcome is kept" in line
    assert lines(capsys, "--json") == ["[]"]
    assert not path.parent.exists()


def test_the_newest_is_on_top(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heading, *rows = [line.split("  ") for line in lines(capsys)]
    assert heading[0] == "measured (UTC)"
    told = [[word.strip() for word in row[1:] if word.strip()] for row in rows]
    assert told == [
        ["deepspeed==0.19.8", "sft-equal", "unknown", "rank 1 died"],
        ["deepspeed==0.18.9", "sft-ragged@3", "fail", "mean-of-means: x; clipping: x"],
        ["torch==2.13.0", "sft-ragged", "pass"],
    ]


@pytest.mark.parametrize(
    ("arguments", "versions"),
    [
        (["deepspeed"], ["0.19.8", "0.18.9"]),
        (["torch"], ["2.13.0"]),
        (["trl"], []),
        (["--scenario", "sft-ragged"], ["0.18.9", "2.13.0"]),
        (["--scenario", "sft-ragged@3"], ["0.18.9"]),
        (["--scenario", "*equal"], ["0.19.8"]),
        (["deepspeed", "--scenario", "*ragged*"], ["0.18.9"]),
        (["--limit", "2"], ["0.19.8", "0.18.9"]),
    ],
    ids=" ".join,
)
def test_what_is_asked_for(
    filled: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], versions: list[str]
) -> None:
    found = json.loads("\n".join(lines(capsys, *arguments, "--json")))
    assert [m["version"] for m in found] == versions
    table = [line for line in lines(capsys, *arguments) if "==" in line]
    assert [line.split("==")[1].split(" ")[0] for line in table] == versions


def test_what_is_left_out_is_told(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, "--limit", "1")[-1] == "2 older ones are not shown; --limit 3 shows them all"
    assert "not shown" not in lines(capsys, "--limit", "3")[-1]


def test_json_has_the_whole_of_it(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = json.loads("\n".join(lines(capsys, "deepspeed", "--scenario", "sft-ragged", "--json")))
    assert found["causes"] == ["mean-of-means: x", "clipping: x"]
    assert {"scenario_hash", "environment", "harness", "findings", "measured", "seconds"} <= set(found)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["torhc"], "did you mean 'torch'?"),
        (["deepspeed==0.18.9"], "write 'deepspeed'"),
        (["--limit", "0"], "--limit"),
        (["torch", "trl"], "trl"),
    ],
)
def test_wrong_usage(path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert cli.call(["history", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_damaged_file_is_one_line(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled.write_bytes(b"\0" * 5000)
    assert cli.call(["history"]) == 3
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("lockstep: the history")


def test_a_page_of_what_changed(filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "trend.html"
    for _ in range(2):  # the second replaces the first
        assert lines(capsys, "--html", str(out)) == [f"to look at: {out}"]
    whole = out.read_text(encoding="utf-8")
    assert [name in whole for name in ("torch", "sft-equal", "rank 1 died")] == [True] * 3
    lines(capsys, "torch", "--html", str(out))
    assert "deepspeed" not in out.read_text(encoding="utf-8")
    assert [path.name for path in out.parent.iterdir()] == ["trend.html"]


def test_a_page_on_stdout(
    filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert cli.call(["history", "--html", "-"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("<!doctype html>")
    assert said.endswith("</html>\n")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("more", [["--json"], [], ["--limit", "5"]], ids=["two ways", "no such folder", "a limit"])
def test_a_page_that_cannot_be(filled: Path, capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
    assert cli.call(["history", "--html", str(filled / "page.html"), *more]) == 2
    assert capsys.readouterr().err.count("\n") == 1
