from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stock import record
from harness.stock.record import OutcomeRecord
from tests.harness.stock import made
from tests.harness.stock.made import CANNOT, CRASHED, PASS, QUARTER, SCENARIOS


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ((PASS, PASS), "right"),
        ((PASS, CANNOT), "right"),
        ((CANNOT, CANNOT), "unsupported"),
        ((PASS, None), "not measured"),  # never right by what is missing
        ((PASS, CRASHED), "unknown"),
        ((None, CRASHED), "not measured"),
        ((QUARTER, CRASHED), "wrong"),
        ((None, QUARTER), "wrong"),
        ((OutcomeRecord(verdict="accepted"), PASS), "wrong"),  # wrong, and accepted as that
    ],
)
def test_the_worst_of_the_scenarios(outcomes: tuple[OutcomeRecord | None, ...], state: str) -> None:
    assert made.release("1.0", 1, *outcomes).state(SCENARIOS) == state


def test_days_by_what_a_stock_install_did() -> None:
    toy = made.EVERYTHING.frameworks[0]
    assert toy.days(SCENARIOS) == {
        "no release": 19,
        "not measured": 2 + 17,
        "right": 3 + 13,
        "wrong": 12,
        "unknown": 11,
    }
    assert toy.days(["sft-ragged"]) == {"no release": 19, "not measured": 2, "right": 33, "wrong": 12, "unknown": 11}


OUTCOMES = st.sampled_from([None, PASS, QUARTER, CANNOT, CRASHED])


@given(st.lists(st.tuples(st.integers(0, 99), OUTCOMES, OUTCOMES), min_size=1, max_size=20), st.integers(0, 99))
def test_the_days_add_up_to_the_window(told: list[tuple[int, object, object]], before: int) -> None:
    releases = [made.release(f"1.{n}", days, *outcomes) for n, (days, *outcomes) in enumerate(told)]  # type: ignore[arg-type]
    found = made.stock(*releases, before=before)
    assert sum(found.frameworks[0].days(SCENARIOS).values()) == found.days


def test_what_is_written_is_read(tmp_path: Path) -> None:
    record.write(made.EVERYTHING, tmp_path / record.FILE)
    assert record.read(tmp_path / record.FILE) == made.EVERYTHING


@pytest.mark.parametrize("text", ["", "{}", '{"first": 1}', "[" * 100_000])
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(record.BadStock, match="cannot be read") as caught:
        record.read(tmp_path / "x")
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(record.BadStock, match="cannot be read"):
        record.read(tmp_path / "none")
