"""Runs for Weights & Biases, written without any connection and read back from their files."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports import series, source, wandb
from reports.source import Source
from tests.reports import recorded


@pytest.fixture
def run(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    monkeypatch.delenv(wandb.VARIABLE, raising=False)
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    return source.load(recorded.run(good, tmp_path / "run"))


HEAD, BLOCK = 7, 32 * 1024
"""Bytes at the beginning of a file, and of a block of it: the format is LevelDB's log (github.com/google/leveldb,
doc/log_format.md), which no package of wandb's reads in Python any more."""


def records(content: bytes) -> Iterator[bytes]:
    part, at = b"", HEAD
    while at + 7 <= len(content):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        part += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield part
            part = b""


def read(folder: Path) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Configuration and history of an offline run."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("*.wandb")
    config: dict[str, str] = {}
    history: list[dict[str, Any]] = []
    for data in records(path.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        if record.history.item:
            keys = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
            history.append({key: json.loads(value) for key, value in keys.items()})
    return config, history


def test_every_value_is_in_a_run_of_its_cell(run: Source, tmp_path: Path) -> None:
    assert wandb.write(run, tmp_path / "out") == 2
    told = {config["version"]: history for config, history in map(read, (tmp_path / "out/wandb").glob("offline-run-*"))}
    assert set(told) == {"simulated", "older"}
    for cell in run.cells[:2]:
        for scalar in series.scalars(cell):
            (line,) = [line for line in told[cell.record.version] if line["_step"] == scalar.step]
            assert line[scalar.tag] == pytest.approx(scalar.value, rel=1e-9)


def test_a_mode_that_there_is_not(run: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(wandb.VARIABLE, "sometimes")
    with pytest.raises(wandb.NotTracked, match="WANDB_MODE is 'sometimes'"):
        wandb.write(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
