"""A framework called `toy`, made of wheels written on the spot: uv really builds it, in a moment and offline."""

from __future__ import annotations

import io
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.environments import recipes

RECIPES = """
[pins]
toydep = "1.0"
[framework.toy]
newest = "2.0"
[[framework.toy.releases]]
versions = ">=1.0"
adapter = "adapters.toy"
packages = ["toydep"]
no_deps = ["toy=={version}"]
variables = { TOY = "yes" }
cpu_variables = { TOY_DEVICE = "cpu" }
[framework.slow]
newest = "1.0"
[[framework.slow.releases]]
versions = ">=1.0"
adapter = "adapters.slow"
packages = ["slow=={version}"]
"""

# A build backend that says when it has begun, and goes on when it is told to.
BACKEND = """
import os, pathlib, sys, time, zipfile
sys.path.insert(0, ".")
def build_wheel(directory, config_settings=None, metadata_directory=None):
    house = pathlib.Path({house!r})
    (house / "variables").write_text("".join(f"{{k}}={{v}}\\n" for k, v in os.environ.items()))
    (house / "began").touch()
    while (house / "hold").exists():
        time.sleep(0.02)
    name = "slow-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory) / name, "w") as wheel:
        for path, text in {files!r}.items():
            wheel.writestr(path, text)
    return name
"""


def wheel_files(name: str, version: str, requires: tuple[str, ...] = ()) -> dict[str, str]:
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {text}\n" for text in requires)
    return {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": f"{name}.py,,\n",
    }


@dataclass(frozen=True)
class House:
    """A folder of packages that stands for the package index."""

    folder: Path
    recipes: Path

    @property
    def hold(self) -> Path:
        """While this file is there, the build of `slow` does not end."""
        return self.folder / "hold"

    @property
    def began(self) -> Path:
        return self.folder / "began"

    def wheel(self, name: str, version: str, requires: tuple[str, ...] = ()) -> None:
        with zipfile.ZipFile(self.folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            for path, text in wheel_files(name, version, requires).items():
                wheel.writestr(path, text)

    def slow(self, comment: str = "") -> None:
        """A source distribution of `slow` whose build can be held; with another comment it is another file."""
        backend = comment + BACKEND.format(house=str(self.folder), files=wheel_files("slow", "1.0"))
        members = {
            "PKG-INFO": "Metadata-Version: 2.2\nName: slow\nVersion: 1.0\n",
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            '[project]\nname = "slow"\nversion = "1.0"\n',
            "backend.py": backend,
        }
        with tarfile.open(self.folder / "slow-1.0.tar.gz", "w:gz") as archive:
            for path, text in members.items():
                member = tarfile.TarInfo(f"slow-1.0/{path}")
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    made = House(tmp_path / "house", tmp_path / "recipes.toml")
    made.folder.mkdir()
    made.recipes.write_text(RECIPES)
    made.wheel("toydep", "1.0")
    made.wheel("toydep", "1.1")
    for version in ("1.0", "1.5", "2.0"):
        made.wheel("toy", version, requires=("not-there-at-all",))
    made.slow()
    read = recipes.load(made.recipes)
    monkeypatch.setattr(recipes, "shipped", lambda: read)
    monkeypatch.setenv("UV_FIND_LINKS", str(made.folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "envs"
