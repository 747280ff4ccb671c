"""What is trained: a release with every combination of fixes, a control, independent frameworks, other settings."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from adapters.contract import Schedule, Sharding
from adapters.expressed import refused
from harness.environments import patch as patches
from harness.environments.patch import Patch
from harness.environments.request import Request
from harness.staircase.record import Role
from harness.staircase.trainings import MICRO_BATCHES, NAME, OPTIMIZER, ROWS, TINY, Size, training
from scenarios import sums

MOST_FIXES = 4
OFFLOADED, PLAIN = Sharding("zero2", offload_optimizer=True), Sharding()
JOINT = " + "
"""Between a release and its fixes."""


class BadArm(Exception):
    """Something asked for cannot be an arm; the message is one line with the remedy."""


@dataclass(frozen=True)
class Fix:
    """One thing that is mended in some arms."""

    name: str
    patch: Patch | None = None
    release: tuple[str, str] | None = None
    """A package and its mended version."""
    fault: str | None = None
    """Planted in the torch reference wherever it is not mended."""

    @property
    def option(self) -> tuple[str, str]:
        """On a command line."""
        if self.fault is not None:
            return "--fault", self.fault
        return "--fix", self.name if self.patch is None else self.patch.given

    def on(self, request: Request) -> Request:
        """The release with it."""
        if self.patch is not None:
            return replace(request, patches=(*request.patches, self.patch))
        if self.release is None:
            return request
        package, version = self.release
        if package == request.framework:
            return replace(request, version=version)
        return replace(request, overrides=tuple(sorted({**dict(request.overrides), package: version}.items())))


@dataclass(frozen=True)
class Hyper:
    """Other hyperparameters than those of all other arms."""

    said: str
    """As `--hyper` takes them."""
    changes: Mapping[str, Any] = field(hash=False)
    """By the names of a scenario's fields."""


@dataclass(frozen=True)
class Arm:
    """One training, but for its seed."""

    label: str
    role: Role
    request: Request
    sharding: Sharding
    command: tuple[str, ...]
    """Words of a command line that has this arm; it says nothing of seeds and sizes."""
    fixes: tuple[str, ...] = ()
    hyper: Hyper | None = None
    fault: str | None = None

    @property
    def scenario(self) -> str:
        """What its training is called; equal for arms that differ in their release and its patches alone."""
        sharded = "-offload" if self.sharding.offload_optimizer else ""
        parts = [NAME, "plain" if self.sharding == PLAIN else f"{self.sharding.strategy}{sharded}"]
        parts += [re.sub(r"[^a-z0-9.]+", "-", self.hyper.said.lower())] if self.hyper else []
        return "-".join([*parts, *([self.fault.replace("+", "-")] if self.fault else [])])


def fix(said: str, request: Request) -> Fix:
    """A patch by its name or file, or a package with a mended release. Raises BadArm and BadPatch."""
    package, equals, version = said.partition("==")
    if equals and not Path(said).exists():
        if request.python is not None or request.pins is not None:
            raise BadArm(f"{said} cannot be put into {request}, which is used as it is; give a patch with --fix")
        return Fix(said, release=_release(package, version))
    return Fix(Path(said).stem if Path(said).suffix else said, patch=patches.load(said))


def _release(package: str, version: str) -> tuple[str, str]:
    try:
        return canonicalize_name(package.strip(), validate=True), str(Version(version.strip()))
    except (InvalidName, InvalidVersion):
        raise BadArm(f"{package}=={version} is no release; write it as PACKAGE==VERSION") from None


def planted(name: str) -> Fix:
    """The removal of a fault that is planted in the reference."""
    return Fix(f"no {name}", fault=name)


def arms(
    request: Request, fixes: Sequence[Fix], against: Sequence[Request], hyper: Sequence[Hyper], offload: bool = True
) -> list[Arm]:
    """All of them, those of the factorial first, from none mended to all. offload: whether the release offloads its
    optimizer, if it can. Raises BadArm."""
    if len({one.name for one in fixes}) < len(fixes):
        raise BadArm("two fixes have one name; each may be given once")
    if not 1 <= len(fixes) <= MOST_FIXES:
        raise BadArm(f"{len(fixes)} fixes are given, and 1 to {MOST_FIXES} can be told apart; each doubles the arms")
    sharding = OFFLOADED if offload and _can(request, OFFLOADED) else PLAIN
    words = ["--framework", str(request), *(word for one in fixes for word in one.option)]
    command = (*words, *([] if offload else ["--no-offload"]))
    made = list(_factorial(request, fixes, sharding, command))
    if sharding.offload_optimizer:
        here = replace(sharding, offload_optimizer=False)
        made.append(Arm(f"{request}, not offloaded", "control", request, here, command))
    made += [
        Arm(str(other), "independent", other, PLAIN, (*command, "--against", str(other)))
        for other in dict.fromkeys(against)
    ]
    right = [made[2 ** len(fixes) - 1], *(arm for arm in made if arm.role == "independent")]
    return [*made, *(_with(arm, other) for other in dict.fromkeys(hyper) for arm in right)]


def _can(request: Request, sharding: Sharding) -> bool:
    return refused(training(TINY, 0, sharding), request.framework) is None


def _factorial(request: Request, fixes: Sequence[Fix], sharding: Sharding, command: tuple[str, ...]) -> Iterator[Arm]:
    for count in range(len(fixes) + 1):
        for mended in itertools.combinations(fixes, count):
            here = request
            for one in mended:
                here = one.on(here)
            names = tuple(one.name for one in mended)
            faults = "+".join(one.fault for one in fixes if one.fault and one not in mended)
            label = JOINT.join([str(request), *names])
            yield Arm(label, "factorial", here.resolved(), sharding, command, names, fault=faults or None)


def _with(arm: Arm, hyper: Hyper) -> Arm:
    command = (*arm.command, "--hyper", hyper.said)
    return replace(arm, label=f"{arm.label}, {hyper.said}", role="hyperparameters", hyper=hyper, command=command)


SCHEDULES: Mapping[str, Schedule] = {
    "cosine": OPTIMIZER.schedule,
    "linear": replace(OPTIMIZER.schedule, decay="linear", least=0.0),
    "constant": Schedule(warmup_from="zero"),
}


def hyperparameters(said: str, size: Size) -> Hyper:
    """`lr=0.0003,batch=32,schedule=linear`. A larger batch makes fewer steps of the same rows.

    Raises BadArm.
    """
    found: dict[str, Any] = {}
    for part in said.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        try:
            found |= _MEANT[name](value, size)
        except (KeyError, ValueError):
            known = (
                f"lr=NUMBER, batch=ROWS (a multiple of {ROWS}, up to {sums.APART}) or schedule={'|'.join(SCHEDULES)}"
            )
            raise BadArm(f"{part.strip()!r} in --hyper {said!r} is none of {known}") from None
    return Hyper(said, found)


def _rate(value: str, _: Size) -> dict[str, Any]:
    rate = float(value)
    if not 0 < rate <= 1:
        raise ValueError(value)
    return {"learning_rate": rate}


def _batch(value: str, size: Size) -> dict[str, Any]:
    times, rest = divmod(int(value), ROWS)
    if rest or times < 1 or size.steps // times < 2 or int(value) > sums.APART:
        raise ValueError(value)
    return {"accumulation": MICRO_BATCHES * times, "steps": size.steps // times}


def _schedule(value: str, _: Size) -> dict[str, Any]:
    return {"schedule": SCHEDULES[value]}


_MEANT = {"lr": _rate, "batch": _batch, "schedule": _schedule}
