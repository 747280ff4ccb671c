"""Which releases a user has, by files that pin them and by interpreters."""

from __future__ import annotations

import contextlib
import json
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.validation.known import pins
from harness.validation.read.bounded import BadConfiguration
from harness.version import own_version
from tests.fuzzing import examples
from tests.harness.validation import written

LOCKED = '[[package]]\nname = "TRL"\nversion = "0.18.0"\n\n[[package]]\nname = "torch"\nversion = "2.7.1"\n'
FILES = {
    "uv.lock": f"version = 1\n{LOCKED}",
    "poetry.lock": LOCKED,
    "pylock.toml": LOCKED.replace("[[package]]", "[[packages]]"),
    "Pipfile.lock": json.dumps({"default": {"trl": {"version": "==0.18.0", "hashes": []}}, "develop": {"x": {}}}),
    "environment.yml": "dependencies:\n  - python=3.11\n  - numpy=1.26.4=py311_0\n  - pip:\n    - trl[peft]==0.18.0\n",
    "pyproject.toml": '[project]\ndependencies = ["torch>=2", "trl[vllm]==0.18.0; python_version > \'3\'"]\n',
    "setup.py": '"""\\d"""\nimport setuptools\n_deps = ["torch>=2",  "trl == 0.18.0", 3]\n# "trl==9"\n',
    "requirements.txt": "# mine\ntrl==0.18.0 \\\n    --hash=sha256:00\ntorch>=2\n",
    "requirements-gpu.txt": "\ufeffTRL==0.18.0\r\nx==0.18.*\r\n",
}
"""Of each kind one that pins trl."""


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_pins(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.write_text(FILES[name], newline="")
    place.chmod(0o755)  # as some file systems have all of theirs
    found = pins.given(place)
    assert (found.versions["trl"], found.where) == ("0.18.0", name)
    assert pins.around(tmp_path, {"trl"}).versions == found.versions


def test_poetry_has_versions_under_names(tmp_path: Path) -> None:
    text = '[tool.poetry.dependencies]\ntrl = "0.18.0"\ntorch = "^2.1"\n[tool.poetry.group.gpu.dependencies]\n'
    (tmp_path / "pyproject.toml").write_text(text + 'deepspeed = {version = "==0.16.8", extras = ["x"]}\n')
    assert pins.given(tmp_path / "pyproject.toml").versions == {"trl": "0.18.0", "deepspeed": "0.16.8"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("uv.lock", "[[package", "is no TOML that can be read"),
        ("uv.lock", "a = " + "[" * 5000, "is no TOML that can be read"),
        ("uv.lock", "version = 1\n", "pins nothing"),
        ("Pipfile.lock", '{"default": 1, "default": 2}', "stands there twice"),
        ("environment.yml", "a: [", "is no YAML"),
        ("setup.py", "def (", "is no Python that can be read"),
        ("setup.py", "x = " + "(" * 5000, "is no Python that can be read"),
        ("requirements.txt", "torch>=2\n", "pins nothing"),
        ("requirements.txt", b"\xff\xfet\x00r\x00", "it is UTF-16"),
        ("requirements.txt", "#" * 600_000, "has more than 512 KiB"),
        ("uv.lock", "#" * 9_000_000, "has more than 8 MiB"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path: Path, name: str, text: str | bytes, said: str) -> None:
    place = tmp_path / name
    place.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadConfiguration, match=said) as refusal:
        pins.given(place)
    assert "\n" not in str(refusal.value)


def test_the_nearest_that_pins_the_framework_wins(tmp_path: Path) -> None:
    """Up to the folder of the repository, and no further."""
    inner = tmp_path / "repository" / "recipes" / "sft"
    inner.mkdir(parents=True)
    (tmp_path / "repository" / ".git").mkdir()
    (tmp_path / "requirements.txt").write_text("trl==0.11.4\n")
    assert pins.around(inner, {"trl"}).where is None
    (tmp_path / "repository" / "setup.py").write_text('D = ["trl==0.16.1"]\n')
    assert pins.around(inner, {"trl"}).where == "../../setup.py"
    (tmp_path / "repository" / "uv.lock").write_text(FILES["uv.lock"])
    assert pins.around(inner, {"trl"}).versions["trl"] == "0.18.0"
    (inner / "requirements.txt").write_text("torch==2.1\n")
    (inner / "pyproject.toml").write_text("[[")
    found = pins.around(inner, {"trl"})
    assert found.where == "../../uv.lock"
    assert found.unread[0].endswith("no version is taken from it")
    values = {key: value for key, value in written.TRL.items() if key != "max_length"}
    told = written.of(str(written.file(inner, "x.yaml", values)), pins=found)
    assert (told.asked, told.pinned_in) == ("trl 0.18.0", "../../uv.lock")
    assert "pyproject.toml is no TOML" in told.odd[-1]


def test_without_a_repository_three_folders_up_are_looked_into(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b" / "c" / "d"
    inner.mkdir(parents=True)
    (tmp_path / "requirements.txt").write_text("trl==0.18.0\n")
    assert pins.around(inner, {"trl"}).where is None
    assert pins.around(inner.parent, {"trl"}).where == "../../../requirements.txt"
    assert pins.around(tmp_path / "missing" / "\0", {"trl"}) == pins.Pins()


def test_an_interpreter_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the folder that it is asked in counts, and its path may be a relative one."""
    venv = tmp_path / "venv" / "bin"
    venv.mkdir(parents=True)
    (venv / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (venv / "python").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    Path("json.py").write_text("raise SystemExit(3)\n")
    for place in (Path("venv"), Path("venv/bin/python")):
        found = pins.given(place)
        assert (found.versions["lockstep-llm"], found.where) == (own_version(), str(place))


@pytest.mark.parametrize(
    ("text", "said"),
    [("#!/bin/sh\nexit 3\n", "ends with status 3"), ("#!/bin/sh\necho hi\n", "is not a Python interpreter"),
     ("no program", "ends with status|is not a Python interpreter"), ("#!/bin/sh\nyes\n", "prints more than 8 MiB")],
)  # fmt: skip
def test_what_is_no_interpreter(tmp_path: Path, text: str, said: str) -> None:
    place = tmp_path / "python3.11"
    place.write_text(text)
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(BadConfiguration, match=said) as refusal:
        pins.given(place)
    assert "\n" not in str(refusal.value)
    with pytest.raises(BadConfiguration, match="is a folder without bin/python"):
        pins.given(tmp_path)


@pytest.mark.fuzz
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(list(FILES)), st.data())
def test_any_file(tmp_path: Path, name: str, data: st.DataObject) -> None:
    """Cut somewhere, with a piece of another one behind."""
    text, other = FILES[name], FILES[data.draw(st.sampled_from(list(FILES)))]
    cut = text[: data.draw(st.integers(0, len(text)))] + other[data.draw(st.integers(0, len(other))) :]
    place = tmp_path / name
    place.write_bytes(cut.encode() + data.draw(st.binary(max_size=3)))
    with contextlib.suppress(BadConfiguration):
        assert all(isinstance(each, str) for each in pins.given(place).versions.values())
