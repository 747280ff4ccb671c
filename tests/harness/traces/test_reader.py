"""Traces that are damaged: each is refused in one line with a remedy, and none is judged a pass."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from adapters.contract import (
    CRASH,
    END,
    HEADER,
    OLDEST_SCHEMA,
    TRACE_SCHEMA,
    batches_file,
    hidden_file,
    memory_file,
    steps_file,
    tensors_file,
)
from harness.judging.judge import judge
from harness.oracle.basis_cache import BasisCache
from harness.traces import reader
from harness.traces.reader import IncompleteTrace
from harness.traces.text_files import UnreadableTrace
from tests.harness import breaking
from tests.harness.refused import judged, unreadable

FILES = (
    HEADER,
    END,
    steps_file(0),
    steps_file(1),
    batches_file(0),
    batches_file(1),
    memory_file(0),
    memory_file(1),
    *(tensors_file(step, rank) for step in range(3) for rank in range(2)),
    *(hidden_file(step, rank) for step in range(2) for rank in range(2)),
)
OPTIONAL = ("tensors/hidden-", "memory-")
"""What a trace need not have."""


def test_the_trace_that_is_broken_below_is_right(good: Path, bases: BasisCache) -> None:
    assert judge(good, bases).findings == ()
    found = reader.read(good)
    assert set(FILES) == {p.relative_to(good).as_posix() for p in good.rglob("*") if p.is_file()}
    assert [(b.step, b.micro_batch, b.rank) for b in found.batches] == [
        (s, m, r) for s in range(2) for m in range(2) for r in range(2)
    ]
    assert [[line.step for line in lines] for lines in found.reported] == [[0, 1], [0, 1]]
    assert found.state(0, "exp_avg") == {}
    assert set(found.state(1, "exp_avg")) == set(found.state(0, "param")) == set(found.state(2, "param", 1))
    assert found.tensors(1) is found.tensors(1)


# ---- damage: what a full disk, a broken copy or a careless hand does


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(FILES), share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file(good: Path, tmp_path: Path, bases: BasisCache, name: str, share: float) -> None:
    folder = Path(shutil.copytree(good, tmp_path / "t", dirs_exist_ok=True))
    path = folder / name
    os.truncate(path, int(share * path.stat().st_size))
    # Of the end, nothing is missing without its last line break.
    assume(name != END or not path.read_bytes().endswith(b"}"))
    unreadable(folder, bases)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([f for f in FILES if f != END]), share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7)
)
def test_a_flipped_bit(good: Path, tmp_path: Path, bases: BasisCache, name: str, share: float, bit: int) -> None:
    folder = Path(shutil.copytree(good, tmp_path / "t", dirs_exist_ok=True))
    path = folder / name
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1 << bit
    path.write_bytes(content)
    unreadable(folder, bases)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_the_seal(good: Path, tmp_path: Path, share: float, bit: int) -> None:
    """Where it changes a checksum or the count of steps it is found; elsewhere it changes nothing that is read."""
    folder = Path(shutil.copytree(good, tmp_path / "t", dirs_exist_ok=True))
    content = bytearray((folder / END).read_bytes())
    content[int(share * len(content))] ^= 1 << bit
    (folder / END).write_bytes(content)
    try:
        found = reader.read(folder)
    except (UnreadableTrace, IncompleteTrace) as error:
        assert "\n" not in str(error)  # noqa: PT017  either way is right
    else:
        sums = json.loads(content)["files"]
        assert found.steps == 2
        assert {name: sums[name] for name in FILES if name != END} == json.loads((good / END).read_text())["files"]


@pytest.mark.parametrize("name", [f for f in FILES if f != END])
def test_a_missing_file(trace: Path, bases: BasisCache, name: str) -> None:
    (trace / name).unlink()
    assert f"has no {name}" in unreadable(trace, bases)


@pytest.mark.parametrize("name", [f for f in FILES if f != END and not f.startswith(OPTIONAL)])
def test_a_missing_file_that_the_seal_does_not_know_either(trace: Path, bases: BasisCache, name: str) -> None:
    (trace / name).unlink()
    breaking.reseal(trace)
    assert f"has no {name}" in unreadable(trace, bases)


# ---- hidden states


def test_hidden_states_are_those_of_the_tokens_that_predict(good: Path) -> None:
    found = reader.read(good)
    for step in range(2):
        for rank in range(2):
            states = found.hidden(step, rank)
            assert states is not None
            mine = {b.micro_batch: b for b in found.batches if (b.step, b.rank) == (step, rank)}
            assert {n: t.shape for n, t in states.items()} == {
                n: (len(b.input_ids[0]) - 1, 16) for n, b in mine.items()
            }


def test_a_trace_without_hidden_states_is_judged_as_before(trace: Path, bases: BasisCache) -> None:
    for path in (trace / "tensors").glob("hidden-*"):
        path.unlink()
    breaking.reseal(trace)
    assert judge(trace, bases).findings == ()
    assert reader.read(trace).hidden(0) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda states: states.pop("hidden/0001"),
        lambda states: states.update({"hidden/0002": torch.ones(3, 16)}),
        lambda states: states.update({"hidden/0000": states["hidden/0000"][1:]}),
        lambda states: states.update({"hidden/0000": states["hidden/0000"].T}),
        lambda states: states.update({"hidden/0000": states["hidden/0000"].int()}),
    ],
    ids=["less", "more", "a token less", "turned", "whole numbers"],
)
def test_hidden_states_of_another_shape(trace: Path, bases: BasisCache, change: breaking.Change) -> None:
    breaking.hidden(trace, change, rank=1)
    assert "hidden states of step 0" in unreadable(trace, bases)


def test_hidden_states_that_are_not_finite(trace: Path, bases: BasisCache) -> None:
    breaking.hidden(trace, lambda states: states["hidden/0001"][2].fill_(torch.nan), step=1)
    (finding,) = judged(trace, bases)
    assert finding.code == "numerics.non-finite"
    assert "micro-batch 1 of rank 0 at step 1" in finding.message


def test_no_folder_at_all(tmp_path: Path, bases: BasisCache) -> None:
    assert "has no header.json" in unreadable(tmp_path / "nowhere", bases)
    assert "has no header.json" in unreadable(tmp_path, bases)
    (tmp_path / "file").write_text("x")
    unreadable(tmp_path / "file", bases)


def test_a_crashed_run_tells_its_reason(trace: Path, bases: BasisCache) -> None:
    (trace / END).unlink()
    (finding,) = judged(trace, bases)
    assert finding.code == "run.crashed"
    assert "no reason recorded" in finding.message
    (trace / CRASH).write_text(json.dumps({"reason": "rank 1 was killed\nby signal 9"}))
    (finding,) = judged(trace, bases)
    assert finding.code == "run.crashed"
    assert "rank 1 was killed by signal 9" in finding.message
    for spoiled in ("{", "[]", '{"reason": null}', '{"reason": [[1]]}', "[" * 100_000):
        (trace / CRASH).write_text(spoiled)
        (finding,) = judged(trace, bases)
        assert finding.code == "run.crashed"
    with pytest.raises(IncompleteTrace):
        reader.read(trace)


# ---- other releases, other things


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (TRACE_SCHEMA + 1, "upgrade lockstep"),
        (10**9, "upgrade lockstep"),
        (OLDEST_SCHEMA - 1, "record it again"),
        (-1, "record it again"),
        (None, "record it again"),
        (str(TRACE_SCHEMA), "record it again"),
        (True, "record it again"),
        (1.0, "record it again"),
        ({"a": "\n" * 3000}, "record it again"),
    ],
)
def test_another_schema(trace: Path, bases: BasisCache, schema: object, said: str) -> None:
    breaking.header(trace, lambda head: head.update(schema=schema))
    message = unreadable(trace, bases)
    assert "schema" in message
    assert said in message
    breaking.header(trace, lambda head: head.pop("schema"))
    assert "schema None" in unreadable(trace, bases)


@pytest.mark.parametrize("target", [tensors_file(1), HEADER, steps_file(0), END])
def test_a_symbolic_link_is_not_followed(trace: Path, bases: BasisCache, tmp_path: Path, target: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (trace / target).rename(elsewhere)
    (trace / target).symlink_to(elsewhere)
    assert "symbolic link" in unreadable(trace, bases)


def test_a_linked_folder_of_tensors_is_not_followed(trace: Path, bases: BasisCache, tmp_path: Path) -> None:
    (trace / "tensors").rename(tmp_path / "elsewhere")
    (trace / "tensors").symlink_to(tmp_path / "elsewhere")
    assert "symbolic link" in unreadable(trace, bases)


def test_a_link_to_nowhere_as_a_seal(trace: Path, bases: BasisCache) -> None:
    (trace / END).unlink()
    (trace / END).symlink_to("nowhere")
    assert "symbolic link" in unreadable(trace, bases)


@pytest.mark.parametrize("name", [HEADER, tensors_file(0), batches_file(1)])
def test_a_folder_or_a_pipe_in_place_of_a_file(trace: Path, bases: BasisCache, name: str) -> None:
    (trace / name).unlink()
    (trace / name).mkdir()
    assert "is no file" in unreadable(trace, bases)
    (trace / name).rmdir()
    os.mkfifo(trace / name)  # reading it would wait for ever
    assert "is no file" in unreadable(trace, bases)


@pytest.mark.parametrize("name", [HEADER, steps_file(1), batches_file(0), tensors_file(2), tensors_file(0, 1)])
def test_a_giant_file_is_not_read(trace: Path, bases: BasisCache, name: str) -> None:
    os.truncate(trace / name, 2**40)  # sparse: takes no room
    assert "has more than the" in unreadable(trace, bases)


@pytest.mark.parametrize("name", [steps_file(0), steps_file(1), batches_file(0)])
def test_text_is_bounded_by_the_scenario(trace: Path, bases: BasisCache, name: str) -> None:
    """12 MB of short lines took 1.1 GB and 13 s."""
    (trace / name).write_bytes(b'{"step": 0}\n' * 1_000_000)
    breaking.reseal(trace)
    assert "has more than the" in unreadable(trace, bases)


def test_the_header_of_a_tensor_file_is_bounded(trace: Path, bases: BasisCache) -> None:
    """One of 180 MB took 5 GB in the library that reads it."""
    path = trace / tensors_file(1)
    length, content = 20_000, path.read_bytes()
    rest = content[8 + int.from_bytes(content[:8], "little") :]
    path.write_bytes(length.to_bytes(8, "little") + b"{" + b" " * (length - 2) + b"}" + rest)
    breaking.reseal(trace)
    assert "its header has 20000 bytes, at most 19456 are read" in unreadable(trace, bases)


def test_a_scenario_that_is_too_large_is_not_read(trace: Path, bases: BasisCache) -> None:
    breaking.scenario(trace, lambda s: s["model"].update(intermediate_size=10**6))
    assert "has 48002864 parameters, more than the 4194304 that are read" in unreadable(trace, bases)


def test_a_file_of_tensors_is_bounded_by_the_model(trace: Path, bases: BasisCache) -> None:
    breaking.tensors(trace, lambda t: t.update(more=torch.zeros(2**20)))
    assert "has more than the" in unreadable(trace, bases)
