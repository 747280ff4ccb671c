"""What has no wheel for a platform is told with a way round: real resolutions of packages made on the spot."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from harness.commands import list_
from harness.commands import platforms as told
from harness.environments import installer, platforms, resolution
from harness.environments.installer import BuildFailed
from harness.environments.platforms import Name, Resolved, Way
from harness.environments.request import parse
from tests.harness.environments.conftest import House, wheel_files

RECIPES = """
[framework.toy]
newest = "2.0"
[[framework.toy.releases]]
versions = ">=1.0"
adapter = "adapters.toy"
packages = ["slow"]
no_deps = ["toy=={version}", "fixed"]
"""


@pytest.fixture(autouse=True)
def from_the_house(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """With CUDA, wheels come from an index, of which there is none here: let all come from the folder."""
    from harness.environments import recipes

    house.recipes.write_text(RECIPES)
    read = recipes.load(house.recipes)
    monkeypatch.setattr(recipes, "shipped", lambda: read)
    for_folder = {name: platforms.Platform(one.what, one.target, False) for name, one in platforms.PLATFORMS.items()}
    monkeypatch.setattr(platforms, "PLATFORMS", for_folder)
    monkeypatch.setenv("UV_OFFLINE", "1")
    with zipfile.ZipFile(house.folder / "fixed-1.0-py3-none-manylinux1_x86_64.whl", "w") as wheel:
        for path, text in wheel_files("fixed", "1.0").items():
            wheel.writestr(path, text)


def resolved(root: Path, *names: Name) -> list[Resolved]:
    return platforms.resolved([parse("toy").resolved()], names, root, lambda text: None)


def test_what_has_only_a_source_is_told(root: Path) -> None:
    (one,) = resolved(root, Name.x86_64)
    assert (one.why, one.packages, one.unsupported) == ("", 3, ())
    assert [(each.package, each.version, each.way) for each in one.missing] == [("slow", "1.0", Way.untried)]


def test_what_has_no_file_for_a_platform_is_told_and_the_rest_goes_on(root: Path) -> None:
    one, other = resolved(root, Name.aarch64, Name.x86_64)
    assert one.unsupported == ("fixed",)
    assert other.unsupported == ()
    assert [each.package for each in one.missing] == ["fixed", "slow"]
    assert one.packages == 2


def test_what_is_known_of_a_package_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        "slow": platforms._Known(way=Way.install, note="needs time"),
        "fixed": platforms._Known(way=Way.skipped, of=("toy",)),
        "other": platforms._Known(way=Way.skipped, of=("else",)),
    }
    monkeypatch.setattr(platforms, "known", lambda: known)
    (one,) = resolved(root, Name.cpu)
    assert [(each.package, each.way, each.note) for each in one.missing] == [("slow", Way.install, "needs time")]


def test_what_does_not_resolve_says_why(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(wanted: Sequence[str], options: Sequence[str], without: Collection[str] = ()) -> str:
        raise installer.InstallerError("slow wants another toy")

    monkeypatch.setattr(resolution, "compiled", compiled)
    (one,) = resolved(root, Name.cpu)
    assert one.why == "slow wants another toy"
    assert "| does not resolve: slow wants another toy |" in told.markdown([one])


def test_a_machine_s_own_fault_is_no_answer(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installer, "find_uv", lambda: None)
    with pytest.raises(BuildFailed, match="uv is neither"):
        resolved(root, Name.cpu)


def test_the_folder_of_wheels_is_not_for_cuda(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = platforms.Platform("with CUDA", "x86_64-unknown-linux-gnu", True)
    monkeypatch.setattr(platforms, "PLATFORMS", {Name.x86_64: cuda})
    (one,) = resolved(root, Name.x86_64)
    assert "toy" in one.why or "fixed" in one.why


def test_the_command_line_has_the_same_names() -> None:
    assert {each.value for each in list_.Platform} == {each.value for each in Name}


def test_what_is_known_is_read() -> None:
    assert {of.way for of in platforms.known().values()} <= set(Way) - {Way.untried}
