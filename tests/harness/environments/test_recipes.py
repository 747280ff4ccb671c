from __future__ import annotations

from pathlib import Path

import pytest

from harness.environments import recipes
from harness.environments.recipes import BadRecipe, NoRecipe, load

WHOLE = """
[framework.toy]
newest = "2.0"
[[framework.toy.releases]]
versions = ">=1.0,<2"
adapter = "adapters.old"
packages = ["toy=={version}"]
exclude_newer = 2024-12-01
why = "toy 1 needs a spring that broke"
exempt = ["torch"]
[[framework.toy.releases]]
versions = ">=2"
adapter = "adapters.new"
packages = ["toy=={version}"]
"""


def read(text: str, tmp_path: Path) -> recipes.Recipes:
    path = tmp_path / "recipes.toml"
    path.write_text(text)
    return load(path)


def test_what_ships_covers_the_releases_with_known_bugs() -> None:
    for version in ("0.15.1", "0.18.9", "0.19.8"):
        assert recipes.shipped().release("deepspeed", version).adapter == "adapters.deepspeed_sft"
    assert recipes.shipped().release("torch", "2.13.0").adapter == "adapters.torch_sft"


def test_the_range_decides(tmp_path: Path) -> None:
    known = read(WHOLE, tmp_path)
    assert known.release("toy", "1.9").adapter == "adapters.old"
    assert known.release("toy", "1.9rc1+local").adapter == "adapters.old"
    assert known.release("toy", "2.0.post1").adapter == "adapters.new"


def test_no_recipe_says_what_there_is(tmp_path: Path) -> None:
    known = read(WHOLE, tmp_path)
    with pytest.raises(NoRecipe, match=r"no recipe for toy 0\.9; recipes cover toy>=1\.0$"):
        known.release("toy", "0.9")
    with pytest.raises(NoRecipe, match=r"toy>=1\.0,<2 or >=2$"):
        known.release("toy", "2.0rc1")  # which lies above 1.0, and is in neither
    with pytest.raises(NoRecipe, match="known frameworks: toy"):
        known.release("joy", "1.0")


def test_a_release_in_a_gap_is_told_of_the_gap(tmp_path: Path) -> None:
    known = read(WHOLE.replace(">=1.0,<2", ">=1.0,<1.5"), tmp_path)
    with pytest.raises(NoRecipe, match=r"recipes cover toy>=1\.0,<1\.5 or >=2$"):
        known.release("toy", "1.7")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('newest = "2.0"', 'newest = "0.1"', "framework.toy"),
        ('newest = "2.0"', 'newest = "new"', "framework.toy.newest"),
        ('newest = "2.0"', "", "framework.toy.newest"),
        (">=2", "two", "framework.toy.releases.1.versions"),
        ('"toy=={version}"', '"toy = {version}"', "framework.toy.releases.0.packages.0"),
        ("exempt", "excempt", "framework.toy.releases.0.excempt"),
        ("[framework.toy]", "[framework.toy", "cannot be read"),
        ('why = "toy 1 needs a spring that broke"', "", "needs a reason"),
        ("toy 1 needs a spring that broke", " ", "needs a reason"),
        ("exclude_newer = 2024-12-01", "", "`why` is the reason for an exclude_newer, and there is none"),
    ],
)
def test_a_mistake_is_named_with_its_place(old: str, new: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(BadRecipe) as caught:
        read(WHOLE.replace(old, new, 1), tmp_path)
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_file_is_a_bad_recipe(tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_what_all_releases_have_is_in_each() -> None:
    framework = recipes.Framework.model_validate(
        {
            "newest": "1.0",
            "packages": ["torch"],
            "cpu_variables": {"A": "1", "B": "1"},
            "releases": [
                {"versions": ">=1", "adapter": "a", "packages": ["numpy<2"], "cpu_variables": {"B": "2"}},
            ],
        }
    )
    release = recipes.Recipes(framework={"trl": framework}).release("trl", "1.0")
    assert release.packages == ("numpy<2", "torch")
    assert release.cpu_variables == {"A": "1", "B": "2"}


def test_the_oldest_release_of_each() -> None:
    known = recipes.shipped().framework
    assert {name: known[name].oldest for name in ("deepspeed", "trl", "llamafactory", "openrlhf", "verl")} == {
        "deepspeed": "0.14.5",
        "trl": "0.9.6",
        "llamafactory": "0.9.0",
        "openrlhf": "0.6.0",
        "verl": "0.4.1",
    }


def test_a_release_has_a_day_of_its_own_for_a_reason_only() -> None:
    known = recipes.shipped()
    own = {name: r.versions for name, of in known.framework.items() for r in of.releases if r.exclude_newer}
    # What others are held against stands still; and before transformers 4.46 there was no such loss to hand a model.
    assert own == {"torch": ">=2.6", "ddp": ">=2.6", "fsdp2": ">=2.6", "deepspeed": ">=0.14.5"}
    assert known.release("deepspeed", "0.15.3").exclude_newer
    assert known.release("deepspeed", "0.15.4").exclude_newer is None
