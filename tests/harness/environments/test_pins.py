"""Files of exact pins: what is read, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.environments import build, pins, request
from harness.environments.installer import BuildFailed

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def written(folder: Path, text: str) -> Path:
    path = folder / "pins.txt"
    path.write_text(text)
    return path


def test_comments_and_empty_lines_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, "# made by hand\n\ntrl==1.16.0  # the framework\nTorch==2.13.0\n")
    assert pins.read(path) == ("Torch==2.13.0", "trl==1.16.0")


def test_a_revision_is_a_pin(tmp_path: Path) -> None:
    line = pins.revision("deepspeed", tmp_path, COMMIT)
    assert pins.read(written(tmp_path, line)) == (line,)
    assert (pins.name(line), pins.version(line)) == ("deepspeed", None)


ONE, TWO = f"sha256:{'0' * 64}", f"sha512:{'f' * 128}"


@pytest.mark.parametrize(
    "text",
    [
        f"toy==1.0 --hash={ONE} --hash={TWO}\ntrl==1.0\n",
        # as `uv pip compile --generate-hashes` writes them
        f"# by uv\ntoy==1.0 \\\n    --hash={ONE} \\\n    --hash={TWO}\n    # via trl\ntrl==1.0  # the framework\n",
    ],
)
def test_hashes_may_stand_behind_a_version(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    assert pins.read(path) == ("toy==1.0", "trl==1.0")
    assert pins.hashes(path) == {"toy==1.0": (ONE, TWO)}


@pytest.mark.parametrize(
    "line",
    ["trl==1.0 --hash=md5:d41d8cd98f00b204e9800998ecf8427e", "trl==1.0 --hash=sha256:abc", "trl==1.0 --hash",
     f"trl==1.0 --hash={ONE} --index-url=x", f"trl @ git+file:///repo@{COMMIT} --hash={ONE}", f"--hash={ONE}",
     "trl==1.0 \\\n-r other.txt"],
)  # fmt: skip
def test_what_is_no_hash_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(pins.BadPins, match=r"pins\.txt:2: .* is no exact pin"):
        pins.read(written(tmp_path, f"torch==2.13.0\n{line}\n"))


@pytest.mark.parametrize(
    "line",
    ["trl", "trl>=1.16.0", "trl==1.*", "trl==1.0,==2.0", "-r other.txt", "--no-index", "/tmp/x.whl",
     "trl @ https://example.org/trl.zip", f"trl @ git+file:///repo@{COMMIT[:8]}", "trl @ git+ssh://host/repo@main"],
)  # fmt: skip
def test_what_is_no_exact_pin_is_refused(tmp_path: Path, line: str) -> None:
    path = written(tmp_path, f"torch==2.13.0\n{line}\n")
    with pytest.raises(pins.BadPins, match=r"pins\.txt:2: .* is no exact pin; write NAME==VERSION"):
        pins.read(path)


@pytest.mark.parametrize(
    ("content", "said"), [(b"\xff\xfe", "cannot be read"), (b"#\n", "pins nothing"), (b"#" * (2 << 20), "1 MiB")]
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "pins.txt"
    path.write_bytes(content)
    with pytest.raises(pins.BadPins, match=said):
        pins.read(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(pins.BadPins, match="No such file"):
        pins.read(tmp_path / "none.txt")


names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)


@given(st.dictionaries(names, st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", fullmatch=True), min_size=1))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, versions: dict[str, str]) -> None:
    lock = [f"{name}=={version}" for name, version in versions.items()]
    path = tmp_path_factory.mktemp("pins") / "pins.txt"
    pins.write(lock, path)
    assert pins.read(path) == tuple(sorted(lock))
    for name, version in versions.items():
        assert pins.version(pins.line(lock, name) or "") == version


def test_a_request_names_a_file_of_pins_by_its_ending(tmp_path: Path) -> None:
    asked = request.parse(f"trl@{tmp_path}/june.txt")
    assert (asked.pins, asked.python) == (tmp_path / "june.txt", None)
    assert request.parse(str(asked)) == asked.resolved() == asked


@pytest.mark.parametrize(("text", "said"), [("torch==2.13.0\n", "do not hold the framework"), ("trl>1\n", "no exact")])
def test_pins_that_hold_no_environment_are_no_build(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BuildFailed, match=said):
        build.ensure(request.parse(f"trl@{written(tmp_path, text)}"), tmp_path / "envs", print)


def test_a_release_that_no_recipe_covers_is_no_build(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"no recipe for trl 0\.1"):
        build.ensure(request.parse(f"trl@{written(tmp_path, 'trl==0.1')}"), tmp_path / "envs", print)
