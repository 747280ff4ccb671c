"""Building environments: from a request to a folder that is either whole or not there."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness import temporary
from harness.environments import (
    bytecode,
    claims,
    diff,
    hashes,
    installer,
    interpreter,
    pins,
    recipes,
    resolution,
    store,
)
from harness.environments.environment import (
    EXTENSIONS,
    PYTHON,
    Environment,
    Record,
    lock_hash,
    read_record,
    write_record,
)
from harness.environments.installer import BuildFailed
from harness.environments.patch import variables
from harness.environments.request import Request

__all__ = ["BuildFailed", "Environment", "ensure", "ensure_all"]

Note = Callable[[str], None]


def ensure(request: Request, root: Path, note: Note) -> Environment:
    """The environment that was asked for, built under `root` if it is not there yet.

    Two processes or threads that ask for the same one build it once; different ones are built side by side. A second
    call needs no network. `note` gets a line when something takes long. The environment is safe from `store.prune`
    until this process ends.

    Raises BadRequest if no recipe covers the version, BadRecipe, and BuildFailed for everything else that goes wrong.
    """
    request = request.resolved()
    root = root.absolute()
    with _on_disk(request, root):
        return _adopt(request, root) if request.python else _ensure(request, root, note)


@contextlib.contextmanager
def _on_disk(request: Request, root: Path) -> Iterator[None]:
    """Raises BuildFailed in the place of OSError."""
    try:
        yield
    except OSError as error:
        what = request.version or str(request.python or request.pins)
        raise BuildFailed(request.framework, what, _disk(error, root), local=True) from None


def identify(request: Request, root: Path, note: Note) -> str:
    """The lock hash that the environment has, or would have; nothing is built. Raises as `ensure` does.

    Not for an own interpreter, of which nobody knows what will be installed there next.
    """
    request = request.resolved()
    assert request.python is None
    root = root.absolute()
    with _on_disk(request, root):
        return _identity(request, _digest(request, _lock(request, root, note)))


def versions(request: Request, root: Path, note: Note) -> dict[str, str]:
    """The packages that the environment has, or would have; nothing is built. Raises as `identify` does."""
    with _on_disk(request, root):
        lock = _lock(request.resolved(), root.absolute(), note)
    return dict(line.split("==", 1) for line in lock if "==" in line)


def ensure_all(requests: Sequence[Request], root: Path, note: Note) -> list[Environment]:
    """`ensure` for each request, side by side, in the given order.

    When one fails or the user interrupts, the others' installers are killed. Raises as `ensure` does.
    """
    with ThreadPoolExecutor(max_workers=max(1, len(requests))) as pool:
        futures = [pool.submit(ensure, request, root, note) for request in requests]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            installer.kill_all()
            raise


@dataclass(frozen=True)
class Order:
    """An environment that is resolved, and may be built on another machine."""

    request: Request
    lock: pins.Lock
    digest: str
    """What it is known by; see `_digest`."""
    root: Path
    """The folder of environments that it is built in."""
    hashes: Mapping[str, tuple[str, ...]] | None = None
    """By line of the lock, those that its file may have; None: those recorded in `root`."""

    @property
    def name(self) -> str:
        return f"{self.request.framework}-{_release(self.request, self.lock)}-{self.digest[:12]}"


def order(request: Request, root: Path, elsewhere: Path, note: Note) -> Order:
    """What `fulfil` builds in the folder `elsewhere` of another machine; here it is resolved only, in `root`.

    Raises as `ensure` does. Not for an own interpreter.
    """
    request, root = request.resolved(), root.absolute()
    with _on_disk(request, root):
        lock = _lock(request, root, note)
        return Order(request, lock, _digest(request, lock), elsewhere, _hashes(request, lock, root, note))


def foreseen(order: Order) -> Environment:
    """The environment that `fulfil` makes of an order. Raises BuildFailed where only building it tells."""
    own = pins.line(order.lock, recipes.shipped().package(order.request.framework)) or ""
    version = order.request.version or pins.version(own)
    if version is None:
        reason = "only an environment that is built tells the release of a commit; leave out --envs local"
        raise BuildFailed(order.request.framework, _release(order.request, order.lock), reason, local=True)
    return _environment(order.request, order.root / order.name, _record(order, version))


def fulfil(order: Order, note: Note) -> Environment:
    """The environment of an order, built if it is not there yet. Raises BuildFailed."""
    request, root = order.request, order.root
    if order.digest != _digest(request, order.lock):
        reason = f"this machine, {resolution.platform_tag()}, is not of the kind that it was resolved on"
        raise BuildFailed(request.framework, _release(request, order.lock), reason, local=True)
    # An installer that outlived its keeper and its run would hold the claim for as long as it likes.
    temporary.sweep(Path(tempfile.gettempdir()))
    # `take` looks again after every wait: another process may have built it, or `prune` removed it.
    while (record := store.take(root, order.name)) is None:
        with claims.exclusive(
            root, store.build_claim(order.name), lambda: note(f"waiting for another run to build {request}")
        ) as claim:
            if read_record(root / order.name) is None:
                _build(order, claim, note)
    return _environment(request, root / order.name, record)


def _ensure(request: Request, root: Path, note: Note) -> Environment:
    lock = _lock(request, root, note)
    return fulfil(Order(request, lock, _digest(request, lock), root), note)


def _digest(request: Request, lock: pins.Lock) -> str:
    """What an environment of ours is known by. A diff makes another one; a Python file changes none of its files."""
    changed = "".join(f" {patch.name}" for patch in request.patches if not patch.is_python)
    return lock_hash(lock, resolution.platform_tag() + changed)


def _identity(request: Request, digest: str) -> str:
    """What an environment, and with it a patch that changes none of its files, is known by."""
    return lock_hash([digest], " ".join(patch.name for patch in request.patches)) if request.patches else digest


def _build(order: Order, claim: int, note: Note) -> None:
    """Build beside the final place and move it there in one step; the caller holds the build claim."""
    request, lock, root, place = order.request, order.lock, order.root, order.root / order.name
    note(f"building {request}: {len(lock)} packages")
    store.sweep(root, held=order.name)
    folder = store.building_folder(root, order.name)
    try:
        found = order.hashes if order.hashes is not None else _hashes(request, lock, root, note)
        _install(request, lock, found, folder, claim)
        _patch(request, lock, folder)
        bytecode.share(root, folder, lock, resolution.platform_tag())
        write_record(_record(order, _version(request, lock, folder)), folder)
        if place.exists():
            shutil.rmtree(place)  # not whole, or nobody would build it
        folder.rename(place)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _record(order: Order, version: str) -> Record:
    return Record(
        framework=order.request.framework,
        version=version,
        request=str(order.request),
        python=str(PYTHON),
        platform=resolution.platform_tag(),
        built=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        lock=order.lock,
        lock_hash=order.digest,
    )


def _hashes(request: Request, lock: pins.Lock, root: Path, note: Note) -> dict[str, tuple[str, ...]]:
    """By line, the hashes that its file may have: those in a file of pins, else those that are recorded."""
    given = {} if request.pins is None else pins.hashes(request.pins)
    try:
        found = hashes.known([line for line in lock if line not in given], root, resolution.origin()) | given
    except installer.InstallerError as error:
        raise BuildFailed(request.framework, _release(request, lock), error.reason, error.tail, error.local) from None
    if unknown := [line for line in lock if line not in found and pins.version(line) is not None]:
        note(f"{request}: nothing tells the hashes of {', '.join(unknown)}, whose files are taken as they come")
    return found


def _install(request: Request, lock: pins.Lock, found: Mapping[str, tuple[str, ...]], folder: Path, claim: int) -> None:
    (folder / EXTENSIONS).mkdir(parents=True)
    create = ["venv", "--quiet", "--no-project", "--relocatable", "--python", sys.executable, str(folder / "venv")]
    install = ["pip", "install", "--quiet", "--no-deps", "--python", str(folder / PYTHON), "--requirements", "-"]
    install += installer.backend_options(os.environ)
    revisions = [line for line in lock if pins.version(line) is None]
    released = [line for line in lock if line not in revisions]
    checked = ["--require-hashes"] if all(line in found for line in released) else []
    try:
        installer.run(create, hold=[claim])
        installer.run([*install, *checked], stdin=hashes.text(released, found), hold=[claim])
        for line in revisions:
            _install_revision(line, install, claim)
    except installer.InstallerError as error:
        reason = _replaced(request, lock, error, folder.parent)
        raise BuildFailed(
            request.framework, _release(request, lock), reason or error.reason, error.tail, error.local or bool(reason)
        ) from None


def _replaced(request: Request, lock: pins.Lock, error: installer.InstallerError, root: Path) -> str | None:
    """One line for a file that is not the one it was, if that is what `uv` complains of."""
    replaced = installer.replaced(error.output)
    if replaced is None:
        return None
    line = pins.line(lock, pins.name(replaced)) or replaced
    if request.pins is not None and line in pins.hashes(request.pins):
        return f"the file of {replaced} has none of the hashes that {request.pins} gives for it"
    record = hashes.place(line, root, resolution.origin())
    return (
        f"the file of {replaced} is another one than when it was first installed here: the release was replaced, or the"
        f" download tampered with. If you know why, remove {record} and build again"
    )


def _install_revision(line: str, install: Sequence[str], claim: int) -> None:
    """Build a revision as its project asks for; if that fails, in the environment itself, where the other packages are.

    Between releases a project may be built by what it does not declare: DeepSpeed's setup.py imports torch.
    """
    try:
        installer.run(install, stdin=line + "\n", hold=[claim])
    except installer.InstallerError as error:
        if error.local:
            raise
        installer.run([*install, "--no-build-isolation"], stdin=line + "\n", hold=[claim])


def _lock(request: Request, root: Path, note: Note) -> pins.Lock:
    return _pinned(request) if request.pins else resolution.resolve(request, recipes.shipped(), root, note)


def _pinned(request: Request) -> pins.Lock:
    """The lock that is a request's file of pins. Raises BuildFailed."""
    assert request.pins is not None
    try:
        lock = pins.read(request.pins)
    except pins.BadPins as error:
        raise BuildFailed(request.framework, str(request.pins), str(error)) from None
    own = pins.line(lock, recipes.shipped().package(request.framework))
    if own is None:
        raise BuildFailed(request.framework, str(request.pins), "these pins do not hold the framework itself")
    if (version := pins.version(own)) is not None:
        _covered(request.framework, version)
    return lock


def _release(request: Request, lock: pins.Lock) -> str:
    """The framework's release before it is installed; of a revision, the first digits of its commit."""
    if request.version is not None:
        return request.version
    own = pins.line(lock, recipes.shipped().package(request.framework)) or ""
    return pins.version(own) or own.rpartition("@")[2][:12]


def _version(request: Request, lock: pins.Lock, folder: Path) -> str:
    """The framework's version; of a revision, what the build of it says. Raises BuildFailed."""
    package = recipes.shipped().package(request.framework)
    if request.version is not None:
        return request.version
    own = pins.line(lock, package) or ""
    version = pins.version(own) or interpreter.inspect(request.framework, package, folder / PYTHON).version
    _covered(request.framework, version)
    return version


def _covered(framework: str, version: str) -> None:
    """Raises BuildFailed for a version that was found rather than asked for, and that no recipe covers."""
    try:
        recipes.shipped().release(framework, version)
    except recipes.NoRecipe as error:
        raise BuildFailed(framework, version, str(error)) from None


def _patch(request: Request, lock: pins.Lock, folder: Path) -> None:
    """Apply the request's diffs, if it has any, to what is installed of the packages that the request names."""
    named = [recipes.shipped().package(request.framework), *(package for package, _ in request.overrides)]
    (site,) = (folder / PYTHON).parent.parent.glob("lib/python*/site-packages")
    for patch in request.patches:
        if patch.is_python:
            continue
        try:
            diff.apply(patch.content, site, named)
        except diff.BadDiff as error:
            reason = f"the diff {patch.given} does not fit: {error}"
            raise BuildFailed(request.framework, _release(request, lock), reason) from None


def _environment(request: Request, folder: Path, record: Record) -> Environment:
    release = recipes.shipped().release(record.framework, record.version)
    return Environment(
        framework=record.framework,
        version=record.version,
        python=record.interpreter(folder),
        folder=folder,
        extensions=folder / EXTENSIONS,
        adapter=release.adapter,
        lock=record.lock,
        lock_hash=_identity(request, record.lock_hash),
        variables={
            **release.variables,
            "TORCH_EXTENSIONS_DIR": str(folder / EXTENSIONS),
            # Where this is set, each start would compile the framework's sources anew: 10 s instead of 4 s for
            # DeepSpeed. Compiling them all when building takes 9 s; letting the first import do it, 2 s. A user's
            # own interpreter is left as it is.
            **({} if request.python else {"PYTHONDONTWRITEBYTECODE": ""}),
            **variables(request.patches),
        },
        cpu_variables=release.cpu_variables,
    )


def _adopt(request: Request, root: Path) -> Environment:
    """An interpreter of the user's own; the only thing kept for it is its folder of compiled extensions."""
    # Not resolved: a virtual environment's interpreter is a link, and only by its own path does it find its packages.
    python = Path(request.python or "").expanduser().absolute()
    found = interpreter.inspect(request.framework, recipes.shipped().package(request.framework), python)
    digest = lock_hash(found.lock, f"{found.platform} {python}")
    name = f"{request.framework}-{found.version}-{digest[:12]}"
    record = Record(
        framework=request.framework,
        version=found.version,
        request=str(request),
        python=str(python),
        platform=found.platform,
        built=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        lock=found.lock,
        lock_hash=digest,
    )
    _covered(request.framework, found.version)
    (root / name / EXTENSIONS).mkdir(parents=True, exist_ok=True)
    write_record(record, root / name)
    store.take(root, name)
    return _environment(request, root / name, record)


def _disk(error: OSError, root: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {root} is full; free space or run `lockstep env prune`"
    return f"cannot write to {root} ({error.strerror or error}); choose another folder with {store.VARIABLE}"
