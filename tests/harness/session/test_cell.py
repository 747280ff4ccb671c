"""What is recorded of a cell."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from harness.session.cell import crash_message


@dataclass
class Ran:
    status: str
    reason: str | None = None
    log_tail: str = ""
    seconds: float = 0.1


@pytest.mark.parametrize(
    ("ran", "said"),
    [
        (Ran("timeout", reason="no end after 5 s"), "no end after 5 s"),
        (Ran("crashed", log_tail="a\n\nb\n"), "the run ended as crashed; last line of the log: b"),
        (Ran("crashed", reason="ValueError: no", log_tail="x\nValueError: no"), "ValueError: no"),
    ],
)
def test_a_crash_is_told_in_one_line(ran: Ran, said: str) -> None:
    assert crash_message(ran) == said
