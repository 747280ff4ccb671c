"""What a stranger reads at a terminal after a bisection, colours off."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from harness.bisection.conclude import conclude
from harness.bisection.record import Bisection
from reports.bisection import terminal, told
from tests.harness.bisection.made import CRASH, RIGHT
from tests.harness.bisection.made import searched as everything
from tests.reports.bisection import made


def render(bisection: Bisection, width: int = 100) -> str:
    out = io.StringIO()
    terminal.show(bisection, Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize("kind", made.KINDS)
def test_a_bisection(kind: Callable[[], Bisection], snapshot: SnapshotAssertion) -> None:
    assert render(kind()) == snapshot


@pytest.mark.parametrize("width", [50, 79])
def test_narrow(width: int, snapshot: SnapshotAssertion) -> None:
    assert render(made.windows(), width) == snapshot


@given(made.bisections())
def test_every_boundary_and_every_outcome_is_named(bisection: Bisection) -> None:
    said = render(bisection, 200)
    for b in bisection.boundaries:
        where = f"{told.dated(bisection, b.before)} -> {told.dated(bisection, b.after)}"
        assert where in said
        assert f"{told.words(told.before(b))} -> {told.words(told.after(b))}" in said
        assert (b.compare or "") in said
    for outcome, letter in told.letters(bisection).items():
        assert f"{letter}  {told.words(outcome)}" in said
    assert all(line in said for line in told.lines(told.ruler(bisection)))
    assert all(line in said for line in told.footing(bisection))


@given(made.hostile())
def test_text_from_elsewhere_is_shown_as_it_is(bisection: Bisection) -> None:
    """Brackets are no markup of rich's."""
    said = "".join(render(bisection, 1000).split())
    for b in bisection.boundaries:
        where = f"{told.dated(bisection, b.before)} -> {told.dated(bisection, b.after)}"
        assert "".join(where.split()) in said


def test_many_points_that_tell_nothing_are_not_all_shown() -> None:
    searched = everything([CRASH if number % 2 else RIGHT for number in range(40)], thorough=True)
    said = render(conclude(made.ASKED, searched, 1.0))
    assert said.count("rank 1 died") == terminal.MOST_SILENT < 20
    assert "\n  ... " in said


def test_outcomes_have_colours() -> None:
    out = io.StringIO()
    terminal.show(made.windows(), Console(file=out, width=100, force_terminal=True, color_system="standard"))
    assert "\x1b[32mright\x1b[0m" in out.getvalue()
    assert "\x1b[1;31mdropped" in out.getvalue()
