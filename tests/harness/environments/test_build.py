from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest

from harness import temporary
from harness.environments import build as build_
from harness.environments import claims, resolution, store
from harness.environments.build import BuildFailed, Environment, ensure, ensure_all
from harness.environments.environment import RECORD
from harness.environments.request import BadRequest, parse
from tests.harness.processes import children, descendants


class House(Protocol):
    folder: Path
    recipes: Path
    hold: Path
    began: Path

    def wheel(self, name: str, version: str) -> None: ...


# Another lockstep process: builds what it is told, from the test's own recipes.
OTHER = """
import sys
from pathlib import Path
from harness.environments import recipes
from harness.environments.build import ensure
from harness.environments.request import parse
read = recipes.load(Path(sys.argv[1]))
recipes.shipped = lambda: read
note = lambda line: print(line, flush=True)
print("ready", ensure(parse(sys.argv[3]), Path(sys.argv[2]), note).folder, flush=True)
"""


def other(house: House, root: Path, text: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OTHER, str(house.recipes), str(root), text]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def build(text: str, root: Path) -> Environment:
    return ensure(parse(text), root, print)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)


def leftovers(root: Path) -> list[Path]:
    return [*root.glob(f"{store.BUILDING}*"), *root.glob(f"{store.REMOVING}*")]


def installed(environment: Environment, module: str) -> str:
    command = [environment.python, "-c", f"import {module}; print({module}.version)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_an_environment_has_what_its_recipe_says(house: House, root: Path) -> None:
    environment = build("toy", root)
    assert environment.lock == ("toy==2.0", "toydep==1.0")
    assert installed(environment, "toy") == "2.0"
    assert environment.folder.name == f"toy-2.0-{environment.lock_hash[:12]}"
    assert (environment.adapter, environment.extensions.is_dir()) == ("adapters.toy", True)
    assert not leftovers(root)


def test_an_override_wins_over_the_pin(house: House, root: Path) -> None:
    plain, other_dependency = build("toy==1.5", root), build("toy==1.5,toydep==1.1", root)
    assert other_dependency.lock == ("toy==1.5", "toydep==1.1")
    assert plain.folder != other_dependency.folder


def test_variables_are_those_of_the_device(house: House, root: Path) -> None:
    environment = build("toy", root)
    base = {"PATH": "/bin", "PYTHONPATH": "/x", "VIRTUAL_ENV": "/y", "KEPT": "1"}
    cpu, cuda = environment.environ("cpu", base), environment.environ("cuda", base)
    assert cpu["TORCH_EXTENSIONS_DIR"] == str(environment.extensions)
    assert cpu["PATH"] == f"{environment.python.parent}:/bin"
    assert (cpu["TOY"], cpu["TOY_DEVICE"], cpu["KEPT"]) == ("yes", "cpu", "1")
    assert "TOY_DEVICE" not in cuda
    assert not {"PYTHONPATH", "VIRTUAL_ENV"} & set(cpu)


def test_a_second_call_needs_neither_network_nor_uv(house: House, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build("toy", root)
    monkeypatch.setattr("harness.environments.installer.find_uv", lambda: None)
    assert build("toy", root) == first


def test_the_lock_is_kept_apart_from_the_environment(house: House, root: Path) -> None:
    first = build("toy", root)
    (first.folder / RECORD).unlink()
    house.wheel("toydep", "1.0.post9")
    notes: list[str] = []
    again = ensure(parse("toy"), root, notes.append)
    assert (again.lock, again.folder) == (first.lock, first.folder)
    assert [note.split()[0] for note in notes] == ["building"]


def test_a_damaged_lock_is_resolved_again(house: House, root: Path) -> None:
    first = build("toy", root)
    for lock in (root / "locks").iterdir():
        lock.write_bytes(b"\xff\0 half a l")
    assert build("toy", root) == first


@pytest.mark.parametrize(("version", "near"), [("99.0", "2.0"), ("1.2", "1.0, 1.5")])
def test_a_version_that_does_not_exist_is_named(house: House, root: Path, version: str, near: str) -> None:
    with pytest.raises(BuildFailed) as caught:
        build(f"toy=={version}", root)
    assert str(caught.value) == f"toy {version}: there is no toy {version}; nearest releases: {near}"
    assert caught.value.tail
    assert not store.stored(root)


def test_a_version_without_a_recipe_is_a_bad_request(house: House, root: Path) -> None:
    with pytest.raises(BadRequest, match="recipes cover toy"):
        build("toy==0.1", root)


def test_what_does_not_install_leaves_nothing(house: House, root: Path) -> None:
    build("toy==1.0", root)
    (house.folder / "toy-2.0-py3-none-any.whl").write_bytes(b"no wheel")
    with pytest.raises(BuildFailed, match=r"^toy 2\.0: ") as caught:
        build("toy==2.0", root)
    assert 0 < len(caught.value.tail.splitlines()) <= 15
    assert [each.name.split("-")[1] for each in store.stored(root)] == ["1.0"]


def test_a_root_that_cannot_be_made_is_one_line(house: House, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuildFailed, match="cannot write to") as caught:
        build("toy", tmp_path / "file" / "envs")
    assert len(str(caught.value).splitlines()) == 1


def test_a_full_disk_is_one_line_and_leaves_nothing(house: House, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("harness.environments.build.write_record", full)
    with pytest.raises(BuildFailed, match=r"^toy 2\.0: the disk of .* is full; free space"):
        build("toy", root)
    assert not store.stored(root)


def test_no_uv_says_how_to_get_it(house: House, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.environments.installer.find_uv", lambda: None)
    with pytest.raises(BuildFailed, match="pip install uv"):
        build("toy", root)


ITSELF, KEEPER, BOTH = "it", "the keeper of its installer", "it and the keeper of its installer"


@pytest.mark.parametrize("whom", [ITSELF, KEEPER, BOTH])
def test_a_build_killed_half_way_ends_and_is_built_anew(house: House, root: Path, whom: str) -> None:
    """The installer, the build of a package and their claim go with it: nobody waits for them.

    Where the keeper is killed as well, what uv has started is ended by the next build.
    """
    house.hold.touch()
    killed = other(house, root, "slow")
    wait_for(house.began)
    (keeper,) = children(killed.pid)
    below = [keeper, *descendants(keeper)]
    assert len(below) >= 3, "uv as well, and the build that it runs"
    for process in {ITSELF: [killed.pid], KEEPER: [keeper], BOTH: [keeper, killed.pid]}[whom]:
        os.kill(process, signal.SIGKILL)
    assert killed.wait(timeout=30) != 0
    if whom != BOTH:
        gone(below)
    assert not [each for each in store.stored(root) if each.whole]
    house.began.unlink()
    house.hold.unlink()
    notes: list[str] = []
    temporary.sweep.cache_clear()  # as it is in another process
    assert installed(ensure(parse("slow"), root, notes.append), "slow") == "1.0"
    assert not [note for note in notes if "waiting" in note]
    assert not leftovers(root)
    gone(below)


def gone(processes: Sequence[int]) -> None:
    """Wait until none of them is there."""
    deadline = time.monotonic() + 10
    while left := [process for process in processes if Path(f"/proc/{process}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def test_an_interrupt_kills_the_installer_and_leaves_nothing(house: House, root: Path) -> None:
    house.hold.touch()
    interrupted = other(house, root, "slow")
    wait_for(house.began)
    installers = children(interrupted.pid)
    interrupted.send_signal(signal.SIGINT)
    assert interrupted.wait(timeout=30) != 0
    assert not leftovers(root)
    for pid in installers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_two_processes_build_one_environment_once(house: House, root: Path) -> None:
    house.hold.touch()
    first = other(house, root, "slow")
    wait_for(house.began)
    second = other(house, root, "slow")
    assert second.stdout is not None
    assert "waiting for another run" in second.stdout.readline()
    house.hold.unlink()
    outputs = [process.communicate(timeout=60)[0] for process in (first, second)]
    folders = [text.split("ready ")[1] for text in outputs]
    assert folders[0] == folders[1]
    assert sum("building" in text for text in outputs) == 1


def test_different_environments_are_built_side_by_side(house: House, root: Path) -> None:
    built = ensure_all([parse(text) for text in ("toy==1.0", "toy==1.5", "toy==2.0", "toy==1.0")], root, print)
    assert [each.version for each in built] == ["1.0", "1.5", "2.0", "1.0"]
    assert len({each.folder for each in built}) == 3


def test_one_failure_does_not_wait_for_the_others(house: House, root: Path) -> None:
    house.hold.touch()
    began = time.monotonic()
    with pytest.raises(BuildFailed, match="there is no toy 99"):
        ensure_all([parse("toy==99"), parse("slow")], root, print)
    assert time.monotonic() - began < 30
    assert not leftovers(root)


def test_an_environment_in_use_is_not_pruned(house: House, root: Path) -> None:
    name = build("toy", root).folder.name
    # The lease is this process's own, and a second descriptor of the file is refused like another process's.
    assert store.prune(root).busy == (name,)
    assert (root / name / RECORD).exists()


def test_a_users_own_interpreter_is_taken_as_it_is(house: House, root: Path) -> None:
    built = build("toy==1.5", root)
    own = build(f"toy@{built.python}", root)
    assert (own.version, own.python, own.adapter) == ("1.5", built.python, "adapters.toy")
    assert set(built.lock) <= set(own.lock)
    assert own.extensions != built.extensions
    assert "PYTHONDONTWRITEBYTECODE" not in own.variables


SECRETS = {
    "GH_TOKEN": "hush-1", "AWS_SECRET_ACCESS_KEY": "hush-2", "HF_TOKEN": "hush-3", "WANDB_API_KEY": "hush-4",
    "NVIDIA_API_KEY": "hush-5", "OPENAI_API_KEY": "hush-6", "DATABASE_URL": "hush-7", "PGPASSWORD": "hush-8",
}  # fmt: skip


def test_no_secret_reaches_the_build_of_a_package(house: House, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    build("slow", root)
    seen = (house.folder / "variables").read_text()
    assert "PATH=" in seen
    assert "hush" not in seen


def asking(folder: Path, body: str) -> str:
    """A request for an interpreter that does something else when it is asked what it has."""
    python = folder / "python"
    python.write_text(f"#!/bin/sh\n{body}\n")
    python.chmod(0o755)
    return f"toy@{python}"


def test_no_secret_reaches_a_users_own_interpreter(
    house: House, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BuildFailed, match="status 3") as caught:
        build(asking(tmp_path, "/usr/bin/env >&2; exit 3"), root)
    assert "PATH=" in caught.value.tail
    assert "hush" not in caught.value.tail


def test_an_interpreter_that_prints_without_end_is_ended(house: House, root: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="this interpreter prints more than 8 MiB"):
        build(asking(tmp_path, "exec yes"), root)


def test_an_interpreter_that_hangs_is_ended_with_what_it_started(
    house: House, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.environments.interpreter.TIMEOUT", 1.0)
    with pytest.raises(BuildFailed, match="says nothing for 1 s"):
        build(asking(tmp_path, f"sleep 600 & echo $! > {tmp_path}/sleeping; wait"), root)
    process = int((tmp_path / "sleeping").read_text())
    assert not Path(f"/proc/{process}").exists()


@pytest.mark.parametrize(
    ("path", "says"), [("/none/python", "missing"), ("/bin/false", "status 1"), ("/bin/true", "not a Python")]
)
def test_what_is_no_interpreter_is_refused(house: House, root: Path, path: str, says: str) -> None:
    with pytest.raises(BuildFailed, match=says):
        build(f"toy@{path}", root)


def test_an_interpreter_without_the_framework_is_refused(house: House, root: Path) -> None:
    with pytest.raises(BuildFailed, match="slow is not installed"):
        build(f"slow@{build('toy', root).python}", root)


def test_a_claim_is_free_once_its_holder_is_gone(root: Path) -> None:
    with claims.exclusive(root, "x"), pytest.raises(claims.Busy), claims.exclusive(root, "x"):
        pass
    with claims.exclusive(root, "x"):
        pass


@pytest.mark.frameworks
@pytest.mark.exhaustive  # each test of a framework builds some
def test_real_releases_build_and_import(tmp_path: Path) -> None:
    requests = [parse("torch"), parse("deepspeed==0.18.9")]
    for environment in ensure_all(requests, tmp_path / "envs", print):
        command = [str(environment.python), "-c", f"import {environment.framework} as f; print(f.__version__)"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment.environ("cpu"))
        assert done.stdout.strip().splitlines()[-1].split("+")[0] == environment.version
        # The first import has compiled what it needs, whatever this machine says of bytecode.
        assert next(environment.folder.glob("venv/lib/*/site-packages/torch/__pycache__/*.pyc"), None)


@pytest.mark.frameworks
def test_a_release_that_was_never_made(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"^deepspeed 99\.0: there is no deepspeed 99\.0; nearest releases: 0\."):
        build("deepspeed==99.0", tmp_path / "envs")


# ---- built elsewhere


def test_an_order_is_fulfilled_as_it_was_foreseen(house: House, root: Path, tmp_path: Path) -> None:
    order = build_.order(parse("toy"), root, tmp_path / "node", print)
    foreseen = build_.foreseen(order)
    assert not store.stored(root), "nothing is built"
    assert build_.fulfil(order, print) == foreseen
    assert installed(foreseen, "toy") == "2.0"
    assert foreseen.folder == tmp_path / "node" / build("toy", root).folder.name
    assert foreseen.lock_hash == build("toy", root).lock_hash


def test_an_order_is_not_built_on_another_kind_of_machine(
    house: House, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = build_.order(parse("toy"), root, tmp_path / "node", print)
    monkeypatch.setattr(resolution, "platform_tag", lambda: "CPython-3.11.2-Linux-aarch64")
    with pytest.raises(BuildFailed, match=r"this machine, .*aarch64, is not of the kind"):
        build_.fulfil(order, print)
