"""Files of tensors that are forged: refused in one line or found wrong, and none is judged a pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from adapters.contract import tensors_file
from harness.oracle.basis_cache import BasisCache
from harness.traces import tensor_file
from harness.verdicts import verdict
from tests.harness import breaking
from tests.harness.refused import judged, unreadable


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("tensor", "step", "rank"),
    [
        ("param/lm_head.weight", 0, 0),
        ("param/model.norm.weight", 2, 0),
        ("exp_avg/model.norm.weight", 1, 0),
        ("exp_avg_sq/lm_head.weight", 2, 0),
        ("param/model.norm.weight", 1, 1),
        ("param/lm_head.weight", 2, 1),
    ],
)
def test_a_number_that_is_none(trace: Path, bases: BasisCache, tensor: str, step: int, rank: int, value: float) -> None:
    breaking.tensors(trace, lambda t: t[tensor].view(-1).__setitem__(-1, value), step, rank)
    (finding,) = judged(trace, bases)
    assert finding.code == "numerics.non-finite"
    assert tensor in finding.message
    assert f"step {step}" in finding.message
    assert verdict.outcome([finding]) == "unknown"


@pytest.mark.parametrize(("step", "rank"), [(0, 0), (2, 0), (1, 1)])
@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.pop("param/model.norm.weight"),
        lambda t: t.update({"param/model.norm.weight": torch.ones(1)}),
        lambda t: t.update({"param/model.norm.weight": torch.ones(4, 4)}),
        lambda t: t.update({"param/lm_head.weight": t["param/lm_head.weight"].T}),
        lambda t: t.clear(),
    ],
)
def test_a_tensor_that_is_missing_or_misshapen(
    trace: Path, bases: BasisCache, change: breaking.Change, step: int, rank: int
) -> None:
    breaking.tensors(trace, change, step, rank)
    message = unreadable(trace, bases)
    assert f"{tensors_file(step, rank)} (state after step {step}) has no param/" in message


@pytest.mark.parametrize("name", ["exp_avg/model.norm.weight", "exp_avg_sq/lm_head.weight"])
def test_a_missing_moment(trace: Path, bases: BasisCache, name: str) -> None:
    breaking.tensors(trace, lambda t: t.pop(name), step=1)
    assert f"has no {name} of shape [" in unreadable(trace, bases)


@pytest.mark.parametrize(
    ("step", "rank", "more"),
    [
        (2, 0, "param/more"),
        (2, 0, "more"),
        (0, 0, "exp_avg/lm_head.weight"),
        (1, 1, "exp_avg/lm_head.weight"),
        (0, 1, "param/model.norm.bias"),
    ],
)
def test_a_tensor_too_many(trace: Path, bases: BasisCache, step: int, rank: int, more: str) -> None:
    breaking.tensors(trace, lambda t: t.update({more: torch.ones(2)}), step, rank)
    assert f"holds {more}, which is no tensor of its model at that step and rank" in unreadable(trace, bases)


def test_another_rank_that_begins_elsewhere(trace: Path, bases: BasisCache) -> None:
    breaking.tensors(trace, lambda t: [v.zero_() for v in t.values()], step=0, rank=1)
    found = [f for f in judged(trace, bases) if f.code == "state.rank-desync"]
    assert [(f.step, f.rank) for f in found] == [(0, 1)]
    assert found[0].message.startswith("rank 1 differs from rank 0 before step 0, most in ")


def test_another_model_from_the_start(trace: Path, bases: BasisCache) -> None:
    """The same change before and after every step and on every rank: no step shows it, for its token is in no row."""

    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["param/model.embed_tokens.weight"][0, 0] += 1.0  # of the padding

    for step in range(3):
        for rank in range(2):
            breaking.tensors(trace, change, step, rank)
    (finding,) = judged(trace, bases)
    assert (finding.code, finding.tensor) == ("state.initial", "model.embed_tokens.weight")
    assert "1 of 12 tensors are not the checkpoint's before step 0: they are near it" in finding.message


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_rounded_copy_is_no_equal_one_where_the_model_computes_in_float32(
    trace: Path, bases: BasisCache, dtype: torch.dtype
) -> None:
    breaking.tensors(trace, lambda t: t.update({k: v.to(dtype) for k, v in t.items()}), step=1, rank=1)
    assert "state.rank-desync" in {f.code for f in judged(trace, bases)}


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn])
def test_a_tensor_of_no_floats(trace: Path, bases: BasisCache, dtype: torch.dtype) -> None:
    breaking.tensors(trace, lambda t: t.update({"param/model.norm.weight": torch.ones(16).to(dtype)}), 1)
    assert "record it again" in unreadable(trace, bases)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        b"\xff" * 64,
        (2**62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{]",
        b"PK\x03\x04" * 9,
    ],
)
def test_what_is_no_file_of_tensors(trace: Path, bases: BasisCache, content: bytes) -> None:
    (trace / tensors_file(1)).write_bytes(content)
    breaking.reseal(trace)
    assert "not a safetensors file" in unreadable(trace, bases)


@pytest.mark.parametrize("shape", [[2**40], [2**62, 2**62], [-1], [0]])
def test_tensors_that_claim_another_size(trace: Path, bases: BasisCache, shape: list[int]) -> None:
    head = json.dumps({"param/a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}).encode()
    (trace / tensors_file(1)).write_bytes(len(head).to_bytes(8, "little") + head + b"\x00" * 4)
    breaking.reseal(trace)
    assert "has no param/model.embed_tokens.weight" in unreadable(trace, bases)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("duplicate", b'{"param/a": {}, "param/a": {}}', "the key 'param/a' stands there twice"),
        ("list", b"[]", "its header is no table of tensors"),
        ("no entry", b'{"param/a": 7}', "its header is no table of tensors"),
    ],
)
def test_a_header_that_libraries_read_each_in_their_own_way(
    trace: Path, bases: BasisCache, name: str, content: bytes, said: str
) -> None:
    (trace / tensors_file(1)).write_bytes(len(content).to_bytes(8, "little") + content)
    breaking.reseal(trace)
    assert said in unreadable(trace, bases)


WANTED = {"a": (2, 3), "b": (4,)}


def test_a_file_of_what_is_wanted_is_loaded() -> None:
    tensors = {"a": torch.rand(2, 3), "b": torch.rand(4).double()}
    content = save(tensors, {"format": "pt"})
    assert len(content) <= tensor_file.limit(WANTED)
    loaded = tensor_file.load(content, [WANTED])
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


STACKED = {"a": (2, 3), "every-b": (2, 4)}


@pytest.mark.parametrize("held", [WANTED, STACKED])
def test_a_file_may_hold_either_of_two_layouts_and_no_mixture(held: dict[str, tuple[int, ...]]) -> None:
    tensors = {name: torch.rand(shape) for name, shape in held.items()}
    loaded = tensor_file.load(save(tensors), [WANTED, STACKED])
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())
    both = save({**tensors, **{n: torch.rand(s) for n, s in (WANTED | STACKED).items() if n not in tensors}})
    with pytest.raises(tensor_file.BadTensors, match=r"holds (b|every-b), which is no tensor"):
        tensor_file.load(both, [WANTED, STACKED])
    with pytest.raises(tensor_file.BadTensors, match=f"has no {list(held)[1]} of shape"):
        tensor_file.load(save({**tensors, list(held)[1]: torch.rand(7)}), [WANTED, STACKED])


def test_tensors_come_in_the_order_of_their_names() -> None:
    """The library's own order is another one each time, and what is drawn for each in turn with it."""
    wanted = {f"tensor/{number:02d}": (number + 1,) for number in range(40)}
    content = save({name: torch.zeros(shape) for name, shape in reversed(wanted.items())})
    assert list(tensor_file.load(content, [wanted])) == list(wanted)


def test_a_header_of_180_mb_does_not_reach_the_library() -> None:
    content = (180 * 10**6).to_bytes(8, "little") + b"{" + b" " * (180 * 10**6)
    with pytest.raises(tensor_file.BadTensors, match="its header has 180000000 bytes, at most 2048 are read"):
        tensor_file.load(content, [WANTED])


def test_a_mean_of_squares_below_zero(trace: Path, bases: BasisCache) -> None:
    breaking.tensors(trace, lambda t: t["exp_avg_sq/lm_head.weight"].neg_(), step=1)
    assert "exp_avg_sq/lm_head.weight after step 1 holds a mean of squares below 0" in unreadable_later(trace, bases)


def unreadable_later(trace: Path, bases: BasisCache) -> str:
    """The message of a trace that can be read, and whose numbers cannot be what they are said to be."""
    (finding,) = judged(trace, bases)
    assert finding.code == "run.unreadable"
    return finding.message
