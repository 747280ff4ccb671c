"""A user's own rows: given, or named by the configuration and lying beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.validation import reading
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.configuration import Data
from reports.validation import markdown
from tests.harness.validation import written

SECRET = "the patient's name is Xanthippe"
ALPACA = [{"instruction": SECRET, "input": "", "output": f"{SECRET} {i}", "id": i} for i in range(5)]
PAIRS = [{"prompt": SECRET, "completion": SECRET}] * 3


def rows(folder: Path, name: str, values: list[dict[str, Any]]) -> Path:
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("".join(json.dumps(value) + "\n" for value in values))
    return place


def data(*words: str) -> Data | None:
    return reading.read(words, (), 2).data


def test_a_file_that_is_given_is_told_without_its_rows(tmp_path: Path) -> None:
    place = rows(tmp_path, "mine.jsonl", ALPACA)
    sft = str(written.file(tmp_path, "sft.yaml", written.FACTORY))
    told = written.of(sft, data=place)
    assert (written.row(told, "dataset").to or "").startswith(
        "your own first 5 rows of mine.jsonl, over again to make "
    )
    assert told.run[-1].startswith("rows: your own first 5 rows of mine.jsonl")
    assert "Xanthippe" not in told.model_dump_json() + markdown.page(told)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows/train-0.jsonl"])
def test_trl_names_a_file_or_a_folder(tmp_path: Path, name: str) -> None:
    place = rows(tmp_path, name, PAIRS)
    values = {**written.TRL, "dataset_name": name.partition("/")[0]}
    sft = str(written.file(tmp_path, "sft.yaml", values))
    found = data(sft)
    assert found is not None
    assert found.path == place
    part = written.part(written.of(sft), "trained")
    assert part.configured == "the responses"
    assert "columns prompt and completion" in part.by


def test_openrlhf_and_verl_name_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows(tmp_path, "mine.jsonl", PAIRS)
    (tmp_path / "mine.parquet").write_bytes(b"PAR1")
    found = data("--", "torchrun", "-m", "openrlhf.cli.train_sft", "--dataset", "mine.jsonl", "--pretrain", "a/b")
    assert found is not None
    assert found.columns == ("prompt", "completion")
    later = data("--", "torchrun", "-m", "verl.trainer.sft_trainer", "data.train_files=mine.parquet")
    assert later is not None
    assert later.rows is None


def test_llamafactory_has_a_list_of_datasets(tmp_path: Path) -> None:
    rows(tmp_path, "data/mine.jsonl", [{"asked": "a", "said": "b"}])
    entry = {"file_name": "mine.jsonl", "columns": {"prompt": "asked", "response": "said"}}
    written.file(tmp_path / "data", "dataset_info.json", {"mine": entry, "other": {"hf_hub_url": "a/b"}})
    sft = str(written.file(tmp_path, "sft.yaml", written.FACTORY))
    found = data(sft)
    assert found is not None
    assert found.layout == entry
    written.of(sft)
    assert data(str(written.file(tmp_path, "x.yaml", {**written.FACTORY, "dataset": "other"}))) is None
    other = rows(tmp_path, "other.jsonl", ALPACA)
    with pytest.raises(
        BadConfiguration, match=r"row 1 has no column asked \(by dataset_info.json\); it has: instruction"
    ):
        written.of(sft, data=other)


def test_nothing_outside_of_what_is_given_is_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    place = rows(tmp_path, "rows.jsonl", PAIRS)
    (tmp_path / "in" / "link.jsonl").symlink_to(place)
    for name in ("../rows.jsonl", str(place), "link.jsonl", ".."):
        values = {**written.TRL, "dataset_name": name}
        assert data(str(written.file(tmp_path / "in", "x.yaml", values))) is None


@pytest.mark.parametrize(
    ("values", "family", "said"),
    [
        ([{"a": 1}], written.FACTORY, "has no column messages or conversations, or one of instruction, .*; it has: a"),
        ([{"instruction": 5, "output": "x"}], written.FACTORY, "row 1 has no text in the column instruction"),
        (
            [{"messages": [{"role": "user", "content": "x"}]}],
            written.TRL,
            "column messages has no message of the assistant",
        ),
        ([{"messages": [{"content": [{"type": "image"}]}]}], written.TRL, "expected messages, each with a role and a"),
        ([{"text": "x"}, {"text": None}], written.TRL, "row 2 has no column text"),
        ([{"question": "x", "answer": "y"}], written.TRL, r"no column text \(by dataset_text_field; TRL also takes"),
    ],
)
def test_rows_that_do_not_fit(tmp_path: Path, values: list[dict[str, Any]], family: dict[str, Any], said: str) -> None:
    place = rows(tmp_path, "mine.jsonl", values)
    with pytest.raises(BadConfiguration, match=said) as refusal:
        written.of(str(written.file(tmp_path, "sft.yaml", family)), data=place)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["mine.pkl", "mine.arrow", "mine", "mine.yaml"])
def test_other_kinds_of_files_are_not_opened(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadConfiguration, match=r"no file of rows that is known: expected \.json"):
        written.of(str(written.file(tmp_path, "sft.yaml", written.FACTORY)), data=tmp_path / name)


def test_what_is_no_parquet(tmp_path: Path) -> None:
    place = rows(tmp_path, "mine.parquet", PAIRS)
    with pytest.raises(BadConfiguration, match="does not begin as a Parquet file does"):
        written.of(str(written.file(tmp_path, "sft.yaml", written.FACTORY)), data=place)


@pytest.mark.parametrize("name", [[None], [[]], [3], {}, 0])
def test_a_name_that_is_none_names_no_rows(tmp_path: Path, name: object) -> None:
    assert data(str(written.file(tmp_path, "x.yaml", {**written.FACTORY, "dataset": name}))) is None
