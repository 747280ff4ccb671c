"""Which arms a command line makes."""

from __future__ import annotations

import pytest

from harness.environments.request import parse
from harness.staircase.arms import BadArm, arms, fix, hyperparameters, planted
from harness.staircase.trainings import TINY

OPENRLHF = parse("openrlhf==0.9.10")
FIXES = [fix(name, OPENRLHF) for name in ("deepspeed-offload", "openrlhf-loss")]
HYPER = hyperparameters("lr=0.0003,batch=32,schedule=linear", TINY)


def test_every_combination_a_control_and_the_independent_ones() -> None:
    made = arms(OPENRLHF, FIXES, [parse("verl==0.9.1")], [])
    assert [(arm.role, arm.fixes) for arm in made] == [
        ("factorial", ()),
        ("factorial", ("deepspeed-offload",)),
        ("factorial", ("openrlhf-loss",)),
        ("factorial", ("deepspeed-offload", "openrlhf-loss")),
        ("control", ()),
        ("independent", ()),
    ]
    assert [len(arm.request.patches) for arm in made] == [0, 1, 1, 2, 0, 0]
    assert [arm.scenario for arm in made] == [*["sums-zero2-offload"] * 4, "sums-zero2", "sums-plain"]
    assert len({arm.label for arm in made}) == len(made)


def test_other_hyperparameters_are_arms_with_all_fixes_and_of_the_independent_ones() -> None:
    made = [arm for arm in arms(OPENRLHF, FIXES, [parse("trl")], [HYPER]) if arm.role == "hyperparameters"]
    assert [(arm.request.framework, len(arm.request.patches)) for arm in made] == [("openrlhf", 2), ("trl", 0)]
    assert made[0].hyper is not None
    changes = dict(made[0].hyper.changes)
    assert changes.pop("schedule").decay == "linear"
    assert changes == {"learning_rate": 0.0003, "accumulation": 16, "steps": TINY.steps // 2}


def test_a_mended_release_is_a_fix_too() -> None:
    newer = fix("deepspeed==0.19.8", OPENRLHF)
    assert str(newer.on(OPENRLHF)) == "openrlhf==0.9.10,deepspeed==0.19.8"
    assert str(fix("openrlhf==0.10.4", OPENRLHF).on(OPENRLHF)) == "openrlhf==0.10.4"


@pytest.mark.parametrize("said", ["deepspeed==x y", "deep speed==0.19.8", "==1.0"])
def test_a_release_that_is_none(said: str) -> None:
    with pytest.raises(BadArm, match="is no release"):
        fix(said, OPENRLHF)


def test_nothing_is_put_into_an_interpreter_of_the_users_own() -> None:
    with pytest.raises(BadArm, match="which is used as it is"):
        fix("deepspeed==0.19.8", parse("deepspeed@/usr/bin/python3"))


def test_planted_faults_are_left_out_one_by_one() -> None:
    made = arms(parse("torch"), [planted("drop-intermediate"), planted("mean-of-micro-batches")], [], [])
    assert [arm.fault for arm in made] == [
        "drop-intermediate+mean-of-micro-batches",
        "mean-of-micro-batches",
        "drop-intermediate",
        None,
    ]
    assert len({arm.scenario for arm in made}) == 4


def test_too_many_fixes_and_one_twice_are_refused() -> None:
    with pytest.raises(BadArm, match="two fixes have one name"):
        arms(OPENRLHF, [FIXES[0], FIXES[0]], [], [])
    with pytest.raises(BadArm, match="1 to 4 can be told apart"):
        arms(OPENRLHF, [planted(str(n)) for n in range(5)], [], [])


@pytest.mark.parametrize(
    "said", ["", "lr", "lr=0", "lr=nan", "lr=-1", "batch=17", "batch=0", "batch=x", "batch=80", "schedule=odd", "x=1"]
)
def test_hyperparameters_that_are_none(said: str) -> None:
    with pytest.raises(BadArm, match="is none of lr=NUMBER"):
        hyperparameters(said, TINY)
