"""Rows that fill a window, however many of them share a sequence."""

from __future__ import annotations

import time

import scenarios
from adapters.contract import vary
from scenarios import rows


def test_rows_that_fill_many_packed_sequences_are_found_at_once() -> None:
    asked = vary(scenarios.get("sft-ragged-packing"), ranks=1, accumulation=1, epochs=1, steps=40, packed_length=512)
    begin = time.monotonic()
    found = rows.fit(asked, [1])
    assert found.dealing.steps(1) >= 40
    fewer = vary(found, rows=found.data.rows[: -found.rows_per_step])
    assert fewer.dealing.steps(1) < 40
    assert time.monotonic() - begin < 20
