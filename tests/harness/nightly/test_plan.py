"""What a night is to run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

import scenarios
from harness.environments import recipes
from harness.environments.installer import BuildFailed
from harness.environments.request import BadRequest, Request, parse
from harness.nightly import canaries
from harness.nightly.newest import Lookup
from harness.nightly.plan import NightPlan, Wish, limits, make, news, of_canaries, of_cells, whole
from harness.session.plan import BadPlan, release

WISH = Wish(canaries=canaries.load())
NEWEST = {"deepspeed": "0.20.0", "torch": "2.15.0", "trl": "1.17.0"}


def nothing(request: Request) -> Request | None:
    return None


def test_the_newest_of_every_framework_is_run_on_every_scenario() -> None:
    made = make(WISH, Lookup(NEWEST), {}, nothing)
    assert {text.partition("=")[0] for text in made.requests} == set(recipes.shipped().framework)
    assert {"deepspeed==0.20.0", "torch==2.15.0", "ddp==2.15.0", "fsdp2==2.15.0", "trl==1.17.0"} <= set(made.requests)
    assert made.scenarios == tuple(scenarios.CATALOGUE)
    assert whole(made, WISH).cells == len(recipes.shipped().framework) * len(scenarios.CATALOGUE)


def test_what_is_newest_underneath_is_run_beside_it() -> None:
    def under(request: Request) -> Request | None:
        return replace(request, overrides=(("transformers", "9.0"),)) if request.framework == "trl" else None

    made = make(WISH, Lookup(NEWEST), {}, under)
    assert [text for text in made.requests if "," in text] == ["trl==1.17.0,transformers==9.0"]


def test_without_an_index_the_newest_of_the_last_night_is_run_and_that_is_a_problem() -> None:
    made = make(WISH, Lookup({}, ("no answer",)), {"deepspeed": "0.19.9"}, nothing)
    assert "deepspeed==0.19.9" in made.requests
    assert f"trl=={recipes.shipped().framework['trl'].newest}" in made.requests
    assert made.problems == ("no answer; the newest that is known was taken",)
    assert made.newest == {"deepspeed": "0.19.9"}


def test_what_cannot_be_resolved_is_a_problem_and_the_rest_is_run() -> None:
    def fail(request: Request) -> Request | None:
        raise BuildFailed(request.framework, request.version or "", "no network")

    made = make(Wish(only=("trl", "torch")), Lookup(NEWEST), {}, fail)
    assert made.requests == ("trl==1.17.0", "torch==2.15.0")
    assert made.unsettled == ("trl", "torch")
    assert len(made.problems) == 2
    assert "no network" in made.problems[0]


def test_a_release_without_a_recipe_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(Wish(only=("trl",)), Lookup({"trl": "0.1.0"}), {}, nothing)
    assert made.requests == (f"trl=={recipes.shipped().framework['trl'].newest}",)
    assert "no recipe covers trl 0.1.0" in made.problems[0]


@pytest.mark.parametrize(
    ("only", "requests"), [(("trl",), ("trl==1.17.0",)), (("trl==1.16.0", "ddp"), ("trl==1.16.0", "ddp==2.15.0"))]
)
def test_a_night_is_limited(only: tuple[str, ...], requests: tuple[str, ...]) -> None:
    assert make(Wish(only=only), Lookup(NEWEST), {}, nothing).requests == requests


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ("trl==1.16.0,transformers==5.0", "write NAME or NAME=="),
        ("trl@/usr/bin/python3", "write NAME or NAME=="),
        ("trll", "did you mean 'trl'?"),
        ("trl==0.1", "recipes cover"),
    ],
)
def test_a_night_is_limited_to_releases_alone(only: str, said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        limits([only])
    assert said in str(caught.value)


def test_no_scenario_is_no_plan() -> None:
    with pytest.raises(BadPlan):
        make(Wish(patterns=("rl-*",)), Lookup(NEWEST), {}, nothing)


def test_a_plan_comes_back_from_disk_and_answers_its_wish_alone() -> None:
    made = make(WISH, Lookup(NEWEST), {}, nothing)
    assert NightPlan.model_validate_json(made.model_dump_json()) == made
    assert made.answers(replace(WISH, jobs=7))
    for other in (replace(WISH, only=("trl",)), replace(WISH, prereleases=True), replace(WISH, canaries=())):
        assert not made.answers(other)


def test_canaries_run_on_their_own_scenarios_alone() -> None:
    made = make(WISH, Lookup(NEWEST), {}, nothing)
    plan = of_canaries(made, WISH)
    assert plan.cells == len(WISH.canaries)
    assert len(plan.requests) < len(WISH.canaries), "two of one release share its environment"


def test_single_cells_are_chosen_by_name() -> None:
    made = make(Wish(only=("trl", "torch"), patterns=("sft-ragged", "sft-equal")), Lookup(NEWEST), {}, nothing)
    cells = {("trl", "1.17.0", "sft-equal"): None, ("trl", "1.0", "sft-ragged"): None}
    plan = of_cells(whole(made, WISH), cells, lambda request: release(request, request.version or ""))
    assert ([str(r) for r in plan.requests], [c.label for c in plan.choices], plan.cells) == (
        ["trl==1.17.0"],
        ["sft-equal"],
        1,
    )
    assert parse("trl==1.17.0") in plan.requests


def test_news_are_what_is_newer_than_in_the_last_night() -> None:
    newest = {"trl": "1.17.0", "torch": "2.15", "verl": "1", "deepspeed": "0.19.8"}
    before = {"trl": "1.16.0", "torch": "2.15.0", "deepspeed": "0.20.0rc1"}
    assert news(newest, before) == {"trl": "1.16.0 -> 1.17.0"}


@pytest.mark.parametrize(
    "changed", [{"newest": {"torch": "not a version"}}, {"requests": ["torch@/usr/bin/python3"]}, {"scenarios": 1}]
)
def test_a_plan_that_somebody_changed_is_not_believed(changed: dict[str, object]) -> None:
    made = make(WISH, Lookup(NEWEST), {}, nothing).model_dump()
    with pytest.raises(ValidationError):
        NightPlan.model_validate({**made, **changed})
