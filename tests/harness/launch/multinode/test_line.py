"""A line to another machine hands on what is said, whatever else is printed there, and notices an end that is gone."""

from __future__ import annotations

import os
import threading
import time
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.launch.multinode import line
from harness.launch.multinode.line import Gone, Line

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
SAID = st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers() | TEXTS | st.lists(TEXTS), max_size=4)


@given(st.lists(SAID, max_size=4), st.lists(st.binary(max_size=40).filter(lambda b: line.MARK not in b), max_size=4))
def test_what_is_said_arrives_in_order_and_greetings_do_not(said: list[dict[str, Any]], greetings: list[bytes]) -> None:
    read, there, _, back = _pipes()
    for greeting in greetings:
        there.write(greeting + b"\n")
    there.flush()
    one, other = Line(read, back), Line(_nothing(), there)
    for each in said:
        other.tell(**each)
    assert [one.hear() for _ in said] == said
    other.close()
    with pytest.raises(Gone, match="closed"):
        one.hear()
    one.close()


@pytest.mark.parametrize(("first", "heard"), [(0.4, b""), (60.0, b"\n")])
def test_an_end_that_says_nothing_is_gone_after_a_while(
    monkeypatch: pytest.MonkeyPatch, first: float, heard: bytes
) -> None:
    """It has longer for its first word."""
    monkeypatch.setattr(line, "BEAT", 0.05)
    monkeypatch.setattr(line, "FIRST", first)
    monkeypatch.setattr(line, "SILENCE", 0.4)
    read, there, other_read, back = _pipes()
    there.write(heard)
    there.flush()
    begun = time.monotonic()
    one = Line(read, back)
    for _ in range(2):  # it stays so
        with pytest.raises(Gone, match="not heard of"):
            one.hear()
    assert 0.4 <= time.monotonic() - begun < 10
    assert other_read.readline() == b"\n"
    there.close()


def test_signs_of_life_keep_a_silent_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "BEAT", 0.05)
    monkeypatch.setattr(line, "SILENCE", 0.6)
    read, there, other_read, back = _pipes()
    one, other = Line(read, back), Line(other_read, there)
    threading.Timer(1.5, other.tell, kwargs={"late": True}).start()
    assert one.hear() == {"late": True}
    one.close()
    other.close()


def _pipes() -> tuple[IO[bytes], IO[bytes], IO[bytes], IO[bytes]]:
    """From there to here, by its two ends, and back."""
    (here, there), (far, back) = os.pipe(), os.pipe()
    return os.fdopen(here, "rb"), os.fdopen(there, "wb"), os.fdopen(far, "rb"), os.fdopen(back, "wb")


def _nothing() -> IO[bytes]:
    """A pipe on which nothing comes."""
    read, _ = os.pipe()
    return os.fdopen(read, "rb")
