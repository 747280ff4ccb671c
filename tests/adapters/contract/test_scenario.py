"""Scenarios of older traces, and hashes that stay."""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import scenarios
from adapters.contract import Schedule, scenario_from_dict, to_dict, vary
from adapters.contract.dealing import Dealing
from adapters.contract.packing import first_fit
from adapters.contract.scenario import FIRST, FLAT, fields_of
from scenarios.rendering import rendered

EVERY = [scenarios.get(name) for name in scenarios.CATALOGUE]
SAID = FIRST | set(FLAT.values()) | {"name"}
OLD = [
    s
    for s in EVERY
    if all(path in SAID or path.startswith("model.") for path, value, default in fields_of(s) if value != default)
]
"""Scenarios that schema 1 could say."""


def flat(told: dict[str, Any]) -> dict[str, Any]:
    """As schema 1 had it: the fields of most groups side by side."""
    side = {name: told for name, told in told.items() if name in ("name", "model", "optimizer", "device", "seed")}
    for name, path in FLAT.items():
        value: Any = told
        for part in path.split("."):
            value = value[part]
        side[name] = value
    schedule = side["optimizer"].pop("schedule")
    del side["optimizer"]["max_grad_norm"]
    return {**side, "schedule": "linear-warmup" if schedule["warmup_steps"] else "constant"}


@pytest.mark.parametrize("scenario", OLD, ids=lambda s: s.name)
def test_a_scenario_of_schema_1_is_the_same(scenario: Any) -> None:
    told = flat(to_dict(scenario))
    before = repr(told)
    assert scenario_from_dict(told) == scenario
    assert repr(told) == before


def test_a_schedule_that_schema_1_had_not() -> None:
    with pytest.raises(ValueError, match=r"^scenario.schedule is 'cosine', not constant or linear-warmup$"):
        scenario_from_dict({**flat(to_dict(EVERY[0])), "schedule": "cosine"})


def test_a_later_field_counts_where_it_is_not_at_its_default() -> None:
    one = scenarios.get("sft-ragged")
    assert vary(one, decay="cosine").hash != one.hash
    assert vary(one, decay="cosine").hash != vary(one, decay="linear").hash
    assert vary(one, decay="none").hash == one.hash


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("window.ranks", 1025, "window.ranks is 1025, not at most 1024"),
        ("window.micro_batch_size", 10**9, "window.micro_batch_size is 1000000000, not at most 65536"),
        ("window.accumulation", 10**9, "window.accumulation is 1000000000, not at most 65536"),
        ("window.steps", 10**9, "window.steps is 1000000000, not at most 1048576"),
        ("window.steps", 2**20, "scenario.window is of 8388608 sequences, not of 1048576 at most"),
        ("data.epochs", 10**9, "data.epochs is 1000000000, not 1 to 1048576"),
        ("data.rows_per_sequence", 10**9, "scenario.window is of 24000000000 rows, not of 1048576"),
        ("data.epochs", 10**400, "data.epochs is 1000"),
        ("model.extra_rows", -1, "model.extra_rows is -1, not 0 to 127, fewer than model.vocab_size"),
        ("model.extra_rows", 128, "model.extra_rows is 128, not 0 to 127, fewer than model.vocab_size"),
        ("model.extra_rows", 1, "tokenizer.vocabulary is 128 long, not model.vocab_size less model.extra_rows"),
        ("seed", 2**31 + 1, "seed is 2147483649, and no whole number of a scenario is beyond 2147483648"),
        ("optimizer.learning_rate", 10**400, "optimizer.learning_rate is 1000"),
        ("optimizer.learning_rate", 10**300, "above 0, and 1e+30 at most"),
        ("optimizer.weight_decay", 1e300, "optimizer.weight_decay is 1e+300, not at most 1e+06"),
        ("optimizer.max_grad_norm", float("inf"), "optimizer.max_grad_norm is inf, not float"),
        ("optimizer.schedule.warmup_steps", 10**400, "optimizer.schedule.warmup_steps is 1000"),
        ("optimizer.schedule.warmup_ratio", 10**400, "optimizer.schedule.warmup_ratio is 1000"),
    ],
)
def test_numbers_have_limits(path: str, value: Any, said: str) -> None:
    told: Any = to_dict(scenarios.get("sft-ragged"))
    *groups, name = path.split(".")
    group = told
    for part in groups:
        group = group[part]
    group[name] = value
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        scenario_from_dict(told)
    assert "\n" not in str(raised.value)


def test_a_space_behind_the_last_eos_is_no_token() -> None:
    """The byte-level BPE of Qwen 2 makes one of it, which no framework leaves out."""
    with pytest.raises(ValueError, match=r"trailing_space is True, not False, as .* is a token of the vocabulary"):
        vary(scenarios.get("sft-ragged-qwen2"), trailing_space=True).check()
    vary(scenarios.get("sft-ragged"), trailing_space=True).check()


@pytest.mark.parametrize("packed", [{"rows_per_sequence": 2}, {"packed_length": 64}])
def test_sequences_of_several_rows_are_filled_up_at_their_end(packed: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="padding_side is left, not right where rows share sequences"):
        vary(scenarios.get("sft-ragged"), padding_side="left", **packed).check()


@pytest.mark.parametrize(
    ("steps", "epochs", "said"),
    [
        (4, 1, "data.rows is 24 long, not at least 25, which 4 steps in 1 epoch need"),
        (7, 2, "data.rows is 24 long, not at least 25, which 7 steps in 2 epochs need"),
    ],
)
def test_it_is_said_how_many_rows_are_needed(steps: int, epochs: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        vary(scenarios.get("sft-ragged"), steps=steps, epochs=epochs).check()


@given(
    st.builds(
        Dealing, st.just(1), *[st.integers(1, 3)] * 3, st.sampled_from(["partial", "filled", "dropped", "carried"])
    ),
    st.integers(1, 7),
    st.integers(1, 4),
)
def test_the_fewest_sequences(dealing: Dealing, steps: int, epochs: int) -> None:
    enough = (n for n in itertools.count(1) if dataclasses.replace(dealing, sequences=n).steps(epochs) >= steps)
    assert dealing.needed(steps, epochs) == next(enough)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"momentum": 0.9}, "optimizer.momentum is 0.9, not 0 with adamw, which has beta1 for it"),
        ({"kind": "sgd"}, "optimizer.momentum is 0.0, not above 0 and below 1 with sgd"),
        ({"kind": "sgd", "momentum": 1.0}, "optimizer.momentum is 1.0, not above 0 and below 1 with sgd"),
        ({"kind": "sgd", "momentum": 0.9, "beta1": 0.8}, "optimizer.beta1 is 0.8, not 0.9 with sgd, which has none"),
        ({"alpha": 0.9}, "optimizer.alpha is 0.9, not 0.99 with adamw, which has none"),
        ({"kind": "adagrad", "momentum": 0.9}, "optimizer.momentum is 0.9, not 0 with adagrad, which has none"),
        ({"kind": "rmsprop", "alpha": 1.0}, "optimizer.alpha is 1.0, not above 0 and below 1"),
        (
            {"kind": "adagrad", "schedule": Schedule(warmup_steps=2, warmup_from="zero")},
            "optimizer.schedule is without a learning rate at step 0, not a rate in every step with adagrad",
        ),
        (
            {"kind": "rmsprop", "compute": "bf16", "masters": "none"},
            "precision.masters is none, not fp32 with rmsprop: coarse squares tell nothing of a gradient",
        ),
    ],
)
def test_a_kind_of_optimizer_has_its_own_fields_alone(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        vary(scenarios.get("sft-ragged"), **fields).check()


PACKED = scenarios.get("sft-ragged-packing")


@given(st.lists(st.integers(1, 20), max_size=30), st.integers(20, 60))
def test_first_fit_has_every_row_once_and_whole(lengths: list[int], room: int) -> None:
    sequences = first_fit(lengths, room)
    assert sorted(row for rows in sequences for row in rows) == list(range(len(lengths)))
    assert all(sum(lengths[row] for row in rows) <= room for rows in sequences)
    firsts = [lengths[rows[0]] for rows in sequences]
    before = [sum(lengths[r] for r in rows if r < sequences[i + 1][0]) for i, rows in enumerate(sequences[:-1])]
    assert all(had + first > room for had, first in zip(before, firsts[1:], strict=True))


def test_tokens_of_a_row_are_those_of_its_text() -> None:
    for name in ("sft-ragged", "sft-ragged-bos", "sft-ragged-pad-eos"):
        scenario = scenarios.get(name)
        assert [scenario.tokens(row) for row in scenario.data.rows] == [len(row.ids) for row in rendered(scenario)]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"packed_length": 45}, "data.packed_length is 45, not at least 46, which the longest row has"),
        (
            {"packed_length": 63, "last_window": "dropped"},
            "window.last_window is dropped, not partial with data.packed_length",
        ),
        ({"packed_length": 513}, "data.packed_length is 513, not at most model.max_positions, 512"),
        ({"max_length": 40}, "data.packed_length is beside data.rows_per_sequence or data.max_length"),
        ({"order": "by-length"}, "data.order is by-length, not another one where rows share sequences"),
        ({"rows_per_sequence": 2}, "data.packed_length is beside data.rows_per_sequence or data.max_length"),
        ({"steps": 9}, "data.rows is packed into 8 sequences, not into at least 17, which 9 steps in 2 epochs need"),
    ],
)
def test_what_cannot_be_packed_is_said(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        vary(PACKED, **changed).check()


@given(ranks=st.integers(2, 5), fewer=st.integers(1, 4), first=st.integers(1, 3), each=st.integers(1, 3))
def test_rows_come_one_after_the_other_though_fewer_ranks_go_on(ranks: int, fewer: int, first: int, each: int) -> None:
    base = scenarios.get("sft-ragged")
    assume(fewer < ranks)
    steps = first + 2
    scenario = vary(
        base,
        rows=[base.data.rows[i % 24] for i in range(ranks * 2 * each * steps)],
        ranks=ranks,
        accumulation=2,
        micro_batch_size=each,
        steps=steps,
        resume_after=first,
        resume_ranks=fewer,
    )
    scenario.check()
    rows = [row for step in range(steps) for row in scenario.step_rows(step)]
    assert rows == list(range(2 * each * (first * ranks + 2 * fewer)))
    assert all(not scenario.sequence_rows(first, 0, rank) for rank in range(fewer, ranks))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"resume_ranks": 2}, "window.resume_ranks is 2, not 0 to 1, fewer than before"),
        ({"resume_ranks": 1, "resume_after": 0}, "not 0 where window.resume_after is 0"),
        ({"resume_ranks": 1, "order": "shuffled"}, "not 0 but within one epoch in the given order"),
        ({"resume_ranks": 1, "compute": "fp16"}, "not 0 in fp16"),
    ],
)
def test_fewer_ranks_have_limits(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        vary(scenarios.get("sft-ragged-resume"), **changed).check()
