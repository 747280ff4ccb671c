"""What every face of a bisection says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given

from harness.bisection.record import Bisection
from harness.bisection.search import Outcome
from reports.bisection import told
from tests.harness.bisection.made import BOTH, CRASH, DROPPED, HOLE, RIGHT, SCALED
from tests.reports.bisection import made


@given(made.bisections())
def test_the_ruler_has_one_mark_for_each_point(bisection: Bisection) -> None:
    ruler = told.ruler(bisection)
    assert len(ruler) == len(bisection.order)
    assert "".join(told.lines(ruler)) == ruler
    assert all(len(line) <= 80 for line in told.lines(ruler))
    marks = dict(zip(bisection.order, ruler, strict=True))
    letters = told.letters(bisection)
    telling = told.telling(bisection)
    for p in bisection.measured:
        assert marks[p.label] == (letters[told.outcome(p)] if p in telling else "?")
    assert {marks[p.label] for p in bisection.uninstallable} <= {"-"}
    for inferred in bisection.inferred:
        assert marks[inferred.label] == letters[told.outcome(inferred)].lower()
    others = {p.label for p in (*bisection.measured, *bisection.inferred, *bisection.uninstallable)}
    assert {marks[label] for label in bisection.order if label not in others} <= {"."}


@given(made.bisections())
def test_letters_are_given_in_the_order_of_the_line(bisection: Bisection) -> None:
    capitals = [mark for mark in told.ruler(bisection) if mark.isalpha() and mark.isupper()]
    assert list(dict.fromkeys(capitals)) == list("ABCDEFG"[: len(told.letters(bisection))])


@given(made.bisections())
def test_every_cause_has_its_windows(bisection: Bisection) -> None:
    order = bisection.order.index
    wrong = [p for p in told.telling(bisection) if p.verdict == "fail"]
    assert set(told.wrong(bisection)) == {cause for p in wrong for cause in p.causes}
    for cause in told.wrong(bisection):
        found = told.windows(bisection, cause)
        inside = [p.label for p in told.telling(bisection) if cause in p.causes]
        held = [label for label in inside if any(order(w.first) <= order(label) <= order(w.last) for w in found)]
        assert held == inside
        for window in found:
            assert (window.before is None) == (window.first == told.telling(bisection)[0].label)
            assert (window.after is None) == (window.last == told.telling(bisection)[-1].label)
        diagnosis = told.diagnosis(bisection, cause)
        assert diagnosis is not None
        assert diagnosis.kind == cause


def test_the_ruler_of_several_windows() -> None:
    ruler = told.ruler(made.windows())
    assert ruler.upper() == "A" * 12 + "B" * 9 + "C" * 8 + "A" * 6 + "D" * 5
    assert (ruler[0], ruler[11:13], ruler[20:22], ruler[28:30], ruler[34:36], ruler[-1]) == (
        "A", "AB", "BC", "CA", "AD", "D",
    )  # fmt: skip
    assert ruler != ruler.upper()


def test_marks_of_what_tells_nothing() -> None:
    assert told.ruler(made.holes())[6:11] == "A-?-B"
    assert told.ruler(made.inconclusive())[5:8] == "A?B"
    assert set(told.ruler(made.unfinished())) == {"A", "B", "?", "."}
    assert set(told.ruler(made.silent())) <= {"?", "-", "."}


def test_windows_of_a_cause_that_comes_with_another_too() -> None:
    found = told.windows(made.windows(), DROPPED.causes[0])
    assert [(w.first, w.last) for w in found] == [("0.1.2", "0.2.8")]
    found = told.windows(made.windows(), SCALED.causes[0])
    assert [(w.first, w.last) for w in found] == [("0.2.1", "0.2.8"), ("0.3.5", "0.3.9")]
    assert found[0].before is not None
    assert found[0].before.before == "0.2.0"
    assert found[1].after is None


def test_the_example_of_a_cause_has_it_alone_where_that_exists() -> None:
    windows = made.windows()
    assert told.outcome(told.example(windows, SCALED.causes[0])) == SCALED
    assert told.outcome(told.example(windows, DROPPED.causes[0])) == DROPPED
    assert told.outcome(told.example(made.bisection([BOTH] * 3), SCALED.causes[0])) == BOTH


def test_a_cause_without_a_diagnosis_is_told_by_its_code() -> None:
    bisection = made.bisection([Outcome("fail", ("loss.value",))] * 3)
    for p in bisection.measured:
        p.diagnoses.clear()
    assert told.wrong(bisection) == ["loss.value"]
    assert told.diagnosis(bisection, "loss.value") is None


@pytest.mark.parametrize(
    ("made_by", "found_out"),
    [
        (made.windows, True), (made.holes, True), (made.inconclusive, False), (made.unfinished, True),
        (made.guilty, True), (made.nothing, True), (made.silent, False), (made.underneath, True),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_whether_anything_was_found_out(made_by: Callable[[], Bisection], found_out: bool) -> None:
    assert told.told(made_by()) is found_out


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (RIGHT, "right"), (DROPPED, DROPPED.causes[0]), (BOTH, "; ".join(BOTH.causes)),
        (CRASH, "crashes or cannot be judged"), (Outcome("unsupported"), "cannot express the scenario"),
        (HOLE, "uninstallable"),
    ],
)  # fmt: skip
def test_words(outcome: Outcome, said: str) -> None:
    assert told.words(outcome) == said


def test_titles() -> None:
    assert told.title(made.nothing()) == (
        "deepspeed on sft-ragged-zero2-offload: 20 releases, 0.0.0 (2025-01-01) to 0.1.9 (2025-01-20)"
    )
    assert told.title(made.underneath()) == (
        "transformers under trl==0.12.2 on sft-ragged-zero2-offload, patched by mend.py (1a2b): 7 releases,"
        " 0.0.0 (2025-01-01) to 0.0.6 (2025-01-07)"
    )
    assert told.title(made.guilty()) == (
        "trl==0.12.2 and what is under it on sft-ragged-zero2-offload: 6 steps, 2024-12-01 to 2025-06-01"
    )


@pytest.mark.parametrize(
    ("alone", "said"),
    [
        (SCALED, "that is enough"),
        (RIGHT, "that gives: right"),
        (CRASH, "that gives: crashes or cannot be judged"),
    ],
)
def test_guilt(alone: Outcome, said: str) -> None:
    (line,) = told.guilt(made.guilty(alone).boundaries[0])
    assert line == (
        "what brings it: transformers 4.46.3 -> 4.52.4; swapped alone, with the packages that it needs, into the older"
        f" environment, {said}"
    )
    assert told.guilt(made.windows().boundaries[0]) == []


def test_guilt_that_nothing_more_can_be_said_of() -> None:
    assert told.guilt(made.guilty(None).boundaries[0]) == ["what brings it: transformers 4.46.3 -> 4.52.4"]


def test_several_that_may_be_guilty() -> None:
    several = made.guilty(None).boundaries[0].model_copy(update={"guilty": ["a 1 -> 2", "b 1 -> 2"]})
    assert told.guilt(several) == ["one of these brings it: a 1 -> 2, b 1 -> 2"]


@given(made.bisections())
def test_what_it_cost_adds_up(bisection: Bisection) -> None:
    (line,) = told.footing(bisection)
    total, ran, inferred, bad = (
        len(of) for of in (bisection.order, bisection.measured, bisection.inferred, bisection.uninstallable)
    )
    rest = total - ran - inferred - bad
    assert line.startswith(f"{ran} of {total} measured")
    assert f"{inferred} inferred" in line
    assert f"{bad} do not install" in line
    assert (f", {rest} not measured" in line) == (rest > 0)
    assert ("at most" in line) == (ran <= bisection.allowed)


def test_what_is_not_finished_says_so() -> None:
    first, last = told.footing(made.unfinished())
    assert first.startswith("3 of 90 measured, 0 of them twice (0 of the 3 measurements known from earlier)")
    assert "tells nothing" not in first, "what is still to be measured is no hole"
    assert last == f"Not finished: about {made.unfinished().left} measurements are left."


def test_what_was_known_from_earlier_is_counted() -> None:
    bisection = made.nothing()
    bisection.measured[0].kept = 2
    bisection.measured[1].kept = 1
    times = sum(p.times for p in bisection.measured)
    assert f"(3 of the {times} measurements known from earlier)" in told.footing(bisection)[0]


def test_where_nothing_changes() -> None:
    assert told.no_change(made.nothing()) == (
        "no change was found: 0.0.0 to 0.1.9, as far as it was measured, is right"
    )
    assert told.no_change(made.silent()) == (
        "nothing was found out: none of the 3 points that were tried tells anything; --all tries the others"
    )
    assert told.no_change(made.bisection([CRASH, HOLE])) == (
        "nothing was found out: none of the 2 points that were tried tells anything"
    )


def test_what_tells_nothing_says_why() -> None:
    assert told.silent(made.holes()) == ["0.0.8: rank 1 died by signal 11"]
    assert told.silent(made.inconclusive()) == ["0.0.6: its measurements differ"]
