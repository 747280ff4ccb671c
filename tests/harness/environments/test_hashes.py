"""Hashes of what is installed: a release that was replaced is noticed. By the real uv, on wheels made on the spot."""

from __future__ import annotations

import hashlib
import os
import shutil
import socketserver
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from harness.environments import build, hashes, installer, resolution, store
from harness.environments.installer import BuildFailed
from harness.environments.request import parse
from tests.harness.environments.conftest import House

pytestmark = pytest.mark.slow


def digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def recorded(root: Path, line: str) -> tuple[str, ...]:
    return tuple(hashes.place(line, root, resolution.origin()).read_text().split())


def forget_environments(root: Path, tmp_path: Path) -> None:
    """As after `env prune`, on a machine whose cache of uv is empty."""
    for each in store.stored(root):
        shutil.rmtree(each.folder)
    shutil.rmtree(tmp_path / "cache")


def ensure(text: str, root: Path) -> build.Environment:
    return build.ensure(parse(text), root, print)


def replaced(house: House, name: str = "toydep", version: str = "1.0") -> None:
    """Another file of the same name and version."""
    house.wheel(name, version, requires=("something; extra == 'new'",))


def test_what_is_installed_is_recorded(house: House, root: Path) -> None:
    environment = ensure("toy", root)
    wheels = {line: house.folder / f"{line.replace('==', '-')}-py3-none-any.whl" for line in environment.lock}
    assert {line: recorded(root, line) for line in environment.lock} == {
        line: (digest(path),) for line, path in wheels.items()
    }


@pytest.mark.parametrize("package", ["toydep==1.0", "toy==2.0", "slow==1.0"])
def test_a_release_that_was_replaced_is_not_installed(house: House, root: Path, tmp_path: Path, package: str) -> None:
    framework = "slow" if package.startswith("slow") else "toy"
    before = ensure(framework, root)
    forget_environments(root, tmp_path)
    if framework == "slow":
        house.slow(comment="# another one")
    else:
        replaced(house, *package.split("=="))
    with pytest.raises(BuildFailed) as caught:
        ensure(framework, root)
    said = str(caught.value)
    record = hashes.place(package, root, resolution.origin())
    assert said.startswith(f"{framework} {before.version}: the file of {package} is another one than when it was first")
    assert said.endswith(f"If you know why, remove {record} and build again")
    assert "\n" not in said
    assert caught.value.local, "nothing is said of the release that was asked for"
    assert not store.stored(root)
    record.unlink()
    assert ensure(framework, root).lock == before.lock


def test_it_is_noticed_in_another_environment_too(house: House, root: Path, tmp_path: Path) -> None:
    """Hashes are recorded for all environments of a folder, not lock by lock."""
    ensure("toy==1.0", root)
    replaced(house)
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(BuildFailed, match=r"the file of toydep==1\.0 is another one"):
        ensure("toy==2.0", root)
    assert [each.name.split("-")[1] for each in store.stored(root)] == ["1.0"]


def test_what_the_cache_has_of_the_old_one_is_installed(house: House, root: Path) -> None:
    """It has the recorded hash, whatever is served now."""
    ensure("toy==1.0", root)
    was = (house.folder / "toydep-1.0-py3-none-any.whl").read_bytes()
    replaced(house)
    assert ensure("toy==1.5", root).lock == ("toy==1.5", "toydep==1.0")
    assert recorded(root, "toydep==1.0") == (f"sha256:{hashlib.sha256(was).hexdigest()}",)


def test_an_environment_is_the_same_whatever_its_hashes(house: House, root: Path, tmp_path: Path) -> None:
    one = ensure("toy", root)
    replaced(house)
    shutil.rmtree(root)
    shutil.rmtree(tmp_path / "cache")
    assert ensure("toy", root).lock_hash == one.lock_hash


def test_a_lock_of_an_older_release_gets_hashes_when_it_is_built(house: House, root: Path, tmp_path: Path) -> None:
    ensure("toy", root)
    shutil.rmtree(root / hashes.FOLDER)
    ensure("toy", root)
    assert not (root / hashes.FOLDER).exists(), "nothing is asked for what is there"
    forget_environments(root, tmp_path)
    ensure("toy", root)
    assert recorded(root, "toydep==1.0") == (digest(house.folder / "toydep-1.0-py3-none-any.whl"),)


def test_hashes_that_are_recorded_are_not_asked_for(
    house: House, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure("toy", root)
    forget_environments(root, tmp_path)
    monkeypatch.setattr(hashes, "_ask", lambda lines: pytest.fail(f"asked for {lines}") if lines else {})
    ensure("toy", root)


@pytest.mark.parametrize("text", ["", "half a li"])
def test_a_damaged_record_is_none(house: House, root: Path, tmp_path: Path, text: str) -> None:
    ensure("toy", root)
    record = hashes.place("toydep==1.0", root, resolution.origin())
    record.write_text(text)
    forget_environments(root, tmp_path)
    ensure("toy", root)
    assert recorded(root, "toydep==1.0") == (digest(house.folder / "toydep-1.0-py3-none-any.whl"),)


def pinned(tmp_path: Path, toydep: str) -> str:
    path = tmp_path / "pins.txt"
    path.write_text(f"toy==1.5\n{toydep}\n")
    return f"toy@{path}"


def test_a_file_of_pins_may_say_the_hashes_itself(house: House, root: Path, tmp_path: Path) -> None:
    wheel = house.folder / "toydep-1.0-py3-none-any.whl"
    right = ensure(pinned(tmp_path, f"toydep==1.0 --hash={digest(wheel)}"), root)
    assert right.lock == ("toy==1.5", "toydep==1.0")
    assert not hashes.place("toydep==1.0", root, resolution.origin()).exists()
    forget_environments(root, tmp_path)
    with pytest.raises(BuildFailed, match=r"the file of toydep==1\.0 has none of the hashes that .*pins\.txt gives"):
        ensure(pinned(tmp_path, f"toydep==1.0 --hash=sha256:{'0' * 64}"), root)


def test_pins_without_hashes_are_held_to_what_was_there_first(house: House, root: Path, tmp_path: Path) -> None:
    assert ensure(pinned(tmp_path, "toydep==1.0"), root).lock_hash
    forget_environments(root, tmp_path)
    replaced(house)
    with pytest.raises(BuildFailed, match=r"the file of toydep==1\.0 is another one"):
        ensure(pinned(tmp_path, "toydep==1.0"), root)


def test_a_setting_of_uv_does_not_turn_the_check_off(
    house: House, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure("toy", root)
    forget_environments(root, tmp_path)
    replaced(house)
    monkeypatch.setenv("UV_NO_VERIFY_HASHES", "1")
    with pytest.raises(BuildFailed, match="is another one"):
        ensure("toy", root)


# ---- a package index


@pytest.fixture
def index(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same packages behind a package index, in place of a folder of wheels."""
    simple = tmp_path / "simple"
    for wheel in house.folder.glob("*.whl"):
        folder = simple / wheel.name.partition("-")[0]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, folder)
    listed(simple)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), partial(Quiet, directory=str(simple)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.delenv("UV_NO_INDEX")
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.server_address[1]}/")
    monkeypatch.setattr(resolution, "_days", lambda *_: [])
    monkeypatch.setattr(installer, "backend_options", lambda base: [])
    yield simple
    server.shutdown()
    server.server_close()


def listed(simple: Path) -> None:
    for folder in simple.iterdir():
        links = [f'<a href="{f.name}#{digest(f).replace(":", "=")}">{f.name}</a>' for f in sorted(folder.glob("*.whl"))]
        (folder / "index.html").write_text(f"<html><body>{'<br>'.join(links)}</body></html>")


def test_an_index_that_serves_another_file_is_noticed(house: House, index: Path, root: Path, tmp_path: Path) -> None:
    before = ensure("toy", root)
    forget_environments(root, tmp_path)
    assert ensure("toy", root).lock_hash == before.lock_hash
    forget_environments(root, tmp_path)
    replaced(house)
    shutil.copy(house.folder / "toydep-1.0-py3-none-any.whl", index / "toydep")
    for honest in (False, True):  # whether it says so on its page
        if honest:
            listed(index)
        with pytest.raises(BuildFailed, match=r"the file of toydep==1\.0 is another one than when it was first"):
            ensure("toy", root)


def test_a_file_that_was_added_later_changes_nothing(house: House, index: Path, root: Path, tmp_path: Path) -> None:
    """As for another platform, or with a build number that would otherwise win."""
    ensure("toy", root)
    forget_environments(root, tmp_path)
    wheel = index / "toydep" / "toydep-1.0-py3-none-any.whl"
    was = recorded(root, "toydep==1.0")
    replaced(house)
    shutil.copy(house.folder / wheel.name, index / "toydep" / "toydep-1.0-7-py3-none-any.whl")
    listed(index)
    environment = ensure("toy", root)
    (site,) = environment.folder.glob("venv/lib/python*/site-packages")
    assert "Requires-Dist" not in (site / "toydep-1.0.dist-info" / "METADATA").read_text()
    assert recorded(root, "toydep==1.0") == was


def test_of_a_wheel_in_a_local_folder_its_own_hash_counts(
    house: House, index: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what `uv` takes where the index has the same release; of it alone `uv` tells no hash."""
    local = tmp_path / "local"
    local.mkdir()
    replaced(house)
    shutil.copy(house.folder / "toydep-1.0-py3-none-any.whl", local)
    monkeypatch.setenv("UV_FIND_LINKS", str(local))
    environment = ensure("toy", root)
    (site,) = environment.folder.glob("venv/lib/python*/site-packages")
    assert "Requires-Dist" in (site / "toydep-1.0.dist-info" / "METADATA").read_text()
    assert recorded(root, "toydep==1.0") == (digest(local / "toydep-1.0-py3-none-any.whl"),)
    assert os.environ["UV_FIND_LINKS"] == str(local)
