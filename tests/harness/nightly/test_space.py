"""What is removed to keep the disk free."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.environments import claims, store
from harness.environments.environment import Record, write_record
from harness.nightly import record, space
from harness.nightly.plan import NightPlan
from harness.nightly.record import Night
from harness.nightly.space import DAY, Item, Limits, outdated
from harness.nightly.tickets import Seen, Ticket, advance
from tests.harness.nightly.made import DROPPED, cell

NOW = 1000 * DAY
ITEMS = st.lists(
    st.builds(
        Item,
        st.sampled_from(["night", "environment"]),
        st.text("abc", min_size=1),
        st.floats(0, NOW),
        st.integers(0, 100),
        st.booleans(),
    ),
    unique_by=lambda item: (item.kind, item.name),
)
LIMITS = st.builds(Limits, st.floats(0, 1000), st.floats(0, 1000))


@given(ITEMS, LIMITS)
def test_what_stays_is_young_and_small_enough_and_what_is_held_stays(items: list[Item], limits: Limits) -> None:
    away = outdated(items, limits, NOW)
    kept = [item for item in items if item not in away]
    loose = [item for item in kept if not item.held]
    assert not any(item.held for item in away)
    assert all(NOW - item.used <= limits.days * DAY for item in loose)
    assert not loose or sum(item.size for item in kept) <= limits.bytes
    assert all(one.used <= other.used for one in away for other in loose), "the longest unused goes first"


@given(ITEMS, LIMITS)
def test_nothing_is_removed_without_need(items: list[Item], limits: Limits) -> None:
    away = outdated(items, limits, NOW)
    if away:
        first = away[0]
        kept = sum(item.size for item in items if item not in away)
        assert NOW - first.used > limits.days * DAY or kept + first.size > limits.bytes
    assert outdated([item for item in items if item not in away], limits, NOW) == []


DIGEST = "0123456789abcdef"


def night(home: Path, name: str, environments: tuple[str, ...] = (DIGEST,), age: float = 0.0) -> Night:
    plan = NightPlan(
        only=(), prereleases=False, patterns=("*",), canaries=(), requests=(), scenarios=(), newest={}, problems=()
    )
    made = Night(name=name, lockstep="0", plan=plan, finished="now", environments=environments)
    folder = home / record.NIGHTS / name
    (folder / "cells").mkdir(parents=True)
    (folder / "cells" / "trace").write_bytes(b"x" * 100_000)
    (folder / "verdict.json").write_text("{}")
    (folder / record.PAGE).write_text("# Night")
    record.write(made, home)
    os.utime(folder, (NOW - age * DAY, NOW - age * DAY))
    return made


def environment(envs: Path, digest: str, age: float = 0.0) -> Path:
    folder = envs / f"torch-2.13.0-{digest[:12]}"
    folder.mkdir(parents=True)
    write_record(
        Record(
            framework="torch", version="2.13.0", request="torch==2.13.0", python="/bin/sh", platform="any", built="now",
            lock=("torch==2.13.0",), lock_hash=digest,
        ),
        folder,
    )  # fmt: skip
    (folder / store.USED).touch()
    os.utime(folder / store.USED, (NOW - age * DAY, NOW - age * DAY))
    return folder


def ticket(opened: str) -> Ticket:
    (made,) = advance({}, Seen(opened, (cell(DROPPED),), (cell(DROPPED),))).values()
    return made


def clean(home: Path, envs: Path, limits: Limits, *tickets: Ticket, tonight: str = "") -> list[str]:
    nights = record.nights(home)
    items = space.items(home, envs, nights, tickets, tonight or nights[-1].name)
    return sorted(item.name for item in space.remove(outdated(items, limits, NOW), home, envs))


def test_an_old_night_leaves_its_record_and_its_page(tmp_path: Path) -> None:
    night(tmp_path, "20260101-000000", age=40)
    night(tmp_path, "20260102-000000")
    assert clean(tmp_path, tmp_path / "envs", Limits(30, 1e12)) == ["20260101-000000"]
    left = sorted(path.name for path in (tmp_path / record.NIGHTS / "20260101-000000").iterdir())
    assert left == [record.FILE, record.PAGE]
    assert [n.name for n in record.nights(tmp_path)] == ["20260101-000000", "20260102-000000"]
    assert clean(tmp_path, tmp_path / "envs", Limits(30, 1e12)) == [], "nothing is left to remove"


def test_a_night_of_an_open_finding_stays_and_so_does_its_environment(tmp_path: Path) -> None:
    night(tmp_path, "20260101-000000", (DIGEST,), age=400)
    night(tmp_path, "20260102-000000", ("f" * 16,), age=300)
    night(tmp_path, "20260103-000000", ())
    envs = tmp_path / "envs"
    environment(envs, DIGEST, age=400)
    environment(envs, "f" * 16, age=300)
    found = ticket("20260101-000000")
    assert clean(tmp_path, envs, Limits(30, 0), found) == ["20260102-000000", f"torch-2.13.0-{'f' * 12}"]
    closed = found.model_copy(update={"state": "closed"})
    assert clean(tmp_path, envs, Limits(30, 1e12), closed) == ["20260101-000000", f"torch-2.13.0-{DIGEST[:12]}"]


def test_only_environments_that_a_night_has_used_are_its_to_remove(tmp_path: Path) -> None:
    night(tmp_path, "20260101-000000", (DIGEST,), age=400)
    night(tmp_path, "20260102-000000", ())
    mine, other = environment(tmp_path / "envs", DIGEST, 400), environment(tmp_path / "envs", "e" * 16, 400)
    clean(tmp_path, tmp_path / "envs", Limits(30, 1e12))
    assert (mine.exists(), other.exists()) == (False, True)


def test_an_environment_in_use_stays(tmp_path: Path) -> None:
    night(tmp_path, "20260101-000000", (DIGEST,), age=400)
    night(tmp_path, "20260102-000000", ())
    envs = tmp_path / "envs"
    folder = environment(envs, DIGEST, 400)
    with claims.exclusive(envs, store.use_claim(folder.name)):
        assert clean(tmp_path, envs, Limits(30, 1e12)) == ["20260101-000000"]
    assert folder.exists()


def test_tonight_stays_though_the_clock_went_back(tmp_path: Path) -> None:
    night(tmp_path, "20260101-000000", age=40)
    night(tmp_path, "20260102-000000", age=40)
    away = clean(tmp_path, tmp_path / "envs", Limits(30, 1e12), tonight="20260101-000000")
    assert away == ["20260102-000000"]


@pytest.mark.parametrize("late", [False, True])
def test_an_environment_that_somebody_removes_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    night(tmp_path, "20260101-000000", (DIGEST, "f" * 16), age=400)
    night(tmp_path, "20260102-000000", ())
    envs = tmp_path / "envs"
    gone, other = environment(envs, DIGEST, 400), environment(envs, "f" * 16, 400)
    items = space.items(tmp_path, envs, record.nights(tmp_path), (), "20260102-000000")
    prune = store.prune

    def later(root: Path, names: list[str]) -> store.Pruned:
        shutil.rmtree(gone)
        return prune(root, names)

    if late:
        monkeypatch.setattr(store, "prune", later)
    else:
        shutil.rmtree(gone)
    removed = {item.name for item in space.remove(outdated(items, Limits(30, 1e12), NOW), tmp_path, envs)}
    assert removed == {"20260101-000000", *([] if late else [other.name])}


def test_too_much_is_removed_from_the_longest_unused_on(tmp_path: Path) -> None:
    for day in range(1, 6):
        night(tmp_path, f"2026010{day}-000000", age=10 - day)
    assert clean(tmp_path, tmp_path / "envs", Limits(30, 350_000)) == ["20260101-000000", "20260102-000000"]


def test_a_file_that_two_environments_share_counts_once(tmp_path: Path) -> None:
    night(tmp_path, "20260101-000000", (DIGEST, "f" * 16))
    envs = tmp_path / "envs"
    one, other = environment(envs, DIGEST), environment(envs, "f" * 16)
    (one / "lib.so").write_bytes(b"x" * 1_000_000)
    os.link(one / "lib.so", other / "lib.so")
    sizes = [
        item.size
        for item in space.items(tmp_path, envs, record.nights(tmp_path), [], "20260101-000000")
        if item.kind != "night"
    ]
    assert 1_000_000 <= sum(sizes) < 1_200_000
