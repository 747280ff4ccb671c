"""What a run is to do: which frameworks on which scenarios, decided before anything starts."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import scenarios
from adapters.contract import Device, Scenario, Training, vary
from harness.environments.request import Request
from harness.launch.cluster import slurm
from harness.launch.cluster.slurm import Allocation
from harness.launch.multinode.machines import SSH, Machines
from scenarios import files, matrices, patterns, rows


class BadPlan(Exception):
    """Something asked for does not exist or does not fit; the message is one line with the remedy."""


@dataclass(frozen=True)
class Choice:
    """A scenario with a seed: one of the catalogue, or another that is given."""

    name: str
    seed: int = 0
    given: Scenario | None = None
    file: str | None = None
    """Where it was read from."""
    fault: str | None = None
    """Planted in the torch reference on this choice, whatever the plan plants elsewhere."""
    command: str | None = None
    """What runs it, where `lockstep run` does not."""

    @property
    def label(self) -> str:
        """`NAME`, with `@SEED` where the seed is not 0; a folder's name."""
        return f"{self.name}@{self.seed}" if self.seed else self.name

    @property
    def pattern(self) -> str:
        """What `--scenario` reads back."""
        return self.file or self.label

    @property
    def scenario(self) -> Scenario:
        return self.given or scenarios.get(self.name, self.seed)

    @property
    def told(self) -> str:
        """What it is, in one line; nothing of a file."""
        return "" if self.given else scenarios.told(self.name)


@dataclass(frozen=True)
class Confinement:
    """What the processes of frameworks are kept from, or are given beside what all of them have."""

    sandbox: bool = False
    """Whether they run where there is no network and no home (`harness.launch.sandbox`)."""
    passed: tuple[str, ...] = ()
    """Names of the user's environment variables that they see as well."""


UNCONFINED = Confinement()

WAITING = 2
"""Frameworks that are started beside those whose cells run: one template process takes half a gigabyte."""
MOST_HANDED_OUT = 1024
"""Cells that wait for a cluster at once, each in a thread."""


@dataclass(frozen=True)
class Plan:
    """A whole run."""

    requests: tuple[Request, ...]
    choices: tuple[Choice, ...]
    jobs: int = 1
    """Most cells at once; on a cluster, in each job of it."""
    timeout: float = 300.0
    """Seconds that one cell may take."""
    device: Device = "cpu"
    launcher: str = "template"
    fault: str | None = None
    ranks: int | None = None
    """Data-parallel ranks, instead of the scenarios' own."""
    pairs: frozenset[tuple[Request, Choice]] | None = None
    """The cells to run; None: every request on every choice."""
    deterministic: bool = False
    """Whether torch is to take algorithms alone that give the same bits in every run."""
    confinement: Confinement = UNCONFINED
    training: Training = "none"
    """Whether scenarios are the first steps of trainings, whose checkpoints then hold all of each."""
    allocation: Allocation | None = None
    """What is asked of a cluster for the cells; None: they run here."""
    machines: Machines | None = None
    """Those that the ranks of each cell are spread over."""

    def __post_init__(self) -> None:
        """Raises BadPlan, before anything starts."""
        for choice in self.choices:
            self.scenario(choice)

    def scenario(self, choice: Choice) -> Scenario:
        """The scenario of that choice as this plan runs it. Fewer ranks make smaller global batches of its rows, more
        of them larger ones, of further rows.

        Raises BadPlan where that is none which can run.
        """
        own = choice.scenario
        scenario = vary(rows.for_ranks(own, self.ranks or own.window.ranks), device=self.device)
        try:
            scenario.check()
            patterns.check(scenario)
            self._check_machines(scenario.window.ranks)
        except ValueError as error:
            ranks = "" if scenario.window.ranks == own.window.ranks else f" with --ranks {self.ranks}"
            said = str(error).replace("scenario.", "", 1)
            raise BadPlan(f"{choice.label} cannot run{ranks}: {said}") from None
        return scenario

    def _check_machines(self, ranks: int) -> None:
        """Raises ValueError."""
        if ranks % self.nnodes:
            raise ValueError(f"its {ranks} ranks are not spread evenly over {self.nnodes} machines; say --ranks")

    @property
    def nnodes(self) -> int:
        """Machines of each cell."""
        return len(self.machines.every) if self.machines else self.allocation.nnodes if self.allocation else 1

    @property
    def spread(self) -> Machines | None:
        """Those of each cell. Which nodes a job has, is told there."""
        if self.allocation is not None and self.allocation.nnodes > 1:
            return Machines((), slurm.reach(self.allocation.srun))
        return self.machines

    def wants(self, request: Request, choice: Choice) -> bool:
        return self.pairs is None or (request, choice) in self.pairs

    @property
    def cells(self) -> int:
        return sum(self.wants(request, choice) for request in self.requests for choice in self.choices)

    @property
    def handed_out(self) -> int:
        """Most cells that are handed out at once. A cluster's jobs take of them what they can."""
        return self.jobs if self.allocation is None else max(1, min(self.cells, MOST_HANDED_OUT))

    @property
    def started(self) -> int:
        """Most environments that are started at once."""
        return self.jobs + WAITING if self.allocation is None else self.allocation.nodes

    @property
    def share(self) -> int:
        """Jobs of a cluster that one environment has at most."""
        return 0 if self.allocation is None else max(1, self.allocation.nodes // len(self.requests))

    @property
    def running(self) -> int:
        """Most cells of one environment at once, in all of its jobs."""
        return self.jobs * max(1, self.share)

    def command(self, request: Request, choice: Choice) -> str:
        """The command line that runs one cell alone."""
        if choice.command is not None:
            return shlex.join([*shlex.split(choice.command), *self._confined])
        words = ["lockstep", "run", "--framework", str(request), "--scenario", choice.pattern]
        for option, value, default in (
            ("--device", self.device, "cpu"),
            ("--launcher", self.launcher, "template"),
            ("--fault", self.fault, None),
            ("--ranks", self.ranks, None),
            ("--hosts", self.machines and self.machines.names, None),
            ("--reach", self.machines and shlex.join(self.machines.reach), shlex.join(SSH)),
        ):
            if value is not None and value != default:
                words += [option, str(value)]
        words += [word for patch in request.patches for word in ("--patch", patch.given)]
        words += ["--deterministic"] if self.deterministic else []
        return shlex.join([*words, *self._confined])

    @property
    def _confined(self) -> list[str]:
        passed = [word for name in self.confinement.passed for word in ("--pass-env", name)]
        return [*passed, *(["--sandbox"] if self.confinement.sandbox else [])]


def way(command: str | None) -> tuple[str, ...]:
    """How a cell was run: the options in its command but for what was run, which its environment and scenario tell."""
    told = iter(shlex.split(command or "lockstep run")[2:])
    return tuple(word for word in told if not (word in _WHAT and next(told, None)))


_WHAT = ("--framework", "--scenario", "--patch")


def release(request: Request, version: str) -> str:
    """What stands as a cell's version: the release, and the other packages' versions that were asked for.

    An own interpreter's release is marked, since it need not be the published one, and so are pins, by their file, and
    a patch.
    """
    marks = [*(["own"] if request.python else []), *([request.pins.stem] if request.pins else [])]
    marks += [patch.mark for patch in request.patches]
    own = "+" + ".".join(marks) if marks else ""
    return ",".join([version + own, *(f"{name}=={other}" for name, other in request.overrides)])


def choose(patterns: Sequence[str], seeds: int) -> tuple[Choice, ...]:
    """Scenarios that match the shell patterns, in the catalogue's order, each with seeds 0 to `seeds` - 1.

    A pattern that ends in `@SEED` takes that seed alone; one that ends in `.toml` is a file. Raises BadPlan for a
    pattern that matches nothing, and for a file that is no scenario.
    """
    chosen: dict[Choice, None] = {}
    for pattern in patterns:
        if files.SUFFIX in pattern:
            chosen |= dict.fromkeys(_filed(pattern, seeds))
            continue
        glob, numbers = _seeds(pattern, seeds)
        names = [glob] if scenarios.knows(glob) else scenarios.matching(glob)
        if not names:
            raise BadPlan(_no_match(glob))
        chosen |= dict.fromkeys(Choice(name, seed) for name in names for seed in numbers)
    labels = [choice.label for choice in chosen]
    if twice := next((label for label in labels if labels.count(label) > 1), None):
        raise BadPlan(f"two scenarios are called {twice!r}; give one of the files another `name`")
    order = {name: i for i, name in enumerate(scenarios.CATALOGUE)}
    return tuple(sorted(chosen, key=lambda c: (order.get(c.name, len(order)), c.name, c.seed)))


def with_matrix(plan: Plan, size: str, seeds: int) -> Plan:
    """The plan, and for each framework its scenarios of a standard matrix."""
    own = {
        request: [Choice(name, seed) for name in matrices.names(size, request.framework) for seed in range(seeds)]
        for request in plan.requests
    }
    pairs = {(request, choice) for request in plan.requests for choice in [*plan.choices, *own[request]]}
    every = dict.fromkeys(choice for choices in [plan.choices, *own.values()] for choice in choices)
    return replace(plan, choices=tuple(every), pairs=frozenset(pairs))


def _filed(path: str, seeds: int) -> list[Choice]:
    """The scenario of a file: with the seed behind its `@`, with seeds 0 to `seeds` - 1 where several are asked for, or
    with its own."""
    file, numbers = (path, range(seeds)) if path.endswith(files.SUFFIX) else _seeds(path, seeds)
    own = path.endswith(files.SUFFIX) and seeds == 1
    try:
        read = [files.load(Path(file), seed) for seed in ([None] if own else numbers)]
    except files.BadScenario as error:
        raise BadPlan(str(error)) from None
    return [Choice(s.name, s.seed, s, file if own else f"{file}@{s.seed}") for s in read]


def _seeds(pattern: str, seeds: int) -> tuple[str, Iterable[int]]:
    glob, at, seed = pattern.rpartition("@") if "@" in pattern else (pattern, "", "")
    if not at:
        return glob, range(seeds)
    if not (seed.isascii() and seed.isdecimal() and len(seed) < 10):
        raise BadPlan(f"{seed!r} in {pattern!r} is no seed; write NAME@SEED with a whole number")
    return glob, [int(seed)]


def _no_match(glob: str) -> str:
    return f"no scenario matches {glob!r}; {meant(glob, scenarios.CATALOGUE)}`lockstep list scenarios` names them all"


def meant(name: str, known: Iterable[str], most: int = 3) -> str:
    """A question behind a name that is not known, with a space at its end; empty if none of the known is near."""
    close = difflib.get_close_matches(name, list(known), n=most, cutoff=0.4)
    return f"did you mean {' or '.join(close)}? " if close else ""


def check_fault(fault: str | None, requests: Iterable[Request], known: Iterable[str]) -> None:
    """Raises BadPlan for a fault that does not exist, or that a framework other than torch is to run with."""
    if fault is None:
        return
    names = list(known)
    if fault not in names:
        raise BadPlan(f"unknown fault {fault!r}; {meant(fault, names)}`lockstep list faults` names them all")
    if others := [str(r) for r in requests if r.framework != "torch"]:
        raise BadPlan(f"--fault is for the torch reference, not for {others[0]}; leave out that --framework")
