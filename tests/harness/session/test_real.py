"""The real parts of a session."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adapters.contract import END, HEADER, batches_file, steps_file, tensors_file
from harness.session import real
from harness.traces import reader


def whole(trace: Path, scenario_hash: str) -> bool:
    return real._whole(trace, scenario_hash)


def test_a_trace_is_whole_as_it_was_recorded(trace: Path) -> None:
    scenario_hash = reader.read(trace).scenario.hash
    assert whole(trace, scenario_hash)
    assert not whole(trace, "0" * 16), "of another scenario"


@pytest.mark.parametrize("name", [tensors_file(1), tensors_file(0, 1), steps_file(0), batches_file(1), HEADER, END])
def test_and_not_once_any_file_was_cut_or_lost(trace: Path, name: str) -> None:
    scenario_hash = reader.read(trace).scenario.hash
    content = (trace / name).read_bytes()
    (trace / name).write_bytes(content[:10])
    assert not whole(trace, scenario_hash)
    (trace / name).unlink()
    assert not whole(trace, scenario_hash)


def test_nor_where_there_is_none(tmp_path: Path, trace: Path) -> None:
    scenario_hash = reader.read(trace).scenario.hash
    shutil.rmtree(trace)
    assert not whole(trace, scenario_hash)
