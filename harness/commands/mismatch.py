"""`lockstep mismatch`: how likely trainers and inference engines hold the same tokens, and how likely they are."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.disk import warn_if_large
from harness.commands.options import MOST_SEED, Environments, Jobs, Timeout, at_once
from harness.commands.output import console, errors, json, say
from harness.commands.pace import spoken
from harness.commands.stop import UNKNOWN, Stop, terminable

if TYPE_CHECKING:
    from torch import Tensor

    from adapters.contract import Scenario
    from harness.mismatch.measured import Run
    from harness.mismatch.record import Mismatch
    from harness.mismatch.sources import Source
    from harness.mismatch.subject import Exact

PAGE, HTML, MODEL = "mismatch.md", "mismatch.html", "model"
WIDTH = 200
"""Of tables, so that none is folded."""
MOST_ROWS, MOST_LENGTH = 256, 4096


class Dtype(StrEnum):
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


def mismatch(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of what is measured. The same command goes on with it.")
    ],
    engines: Annotated[
        list[str] | None,
        typer.Option(
            "--engine",
            metavar="NAME",
            help="Trainer or engine that is asked, such as verl or vllm-decode; may be repeated. Default: all.",
        ),
    ] = None,
    dtypes: Annotated[
        list[Dtype] | None, typer.Option("--dtype", help="Dtype of the model; may be repeated. Default: all.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--scenario",
            metavar="NAME|FILE.toml[@SEED]",
            help="Scenario whose model is taken. Default: a Llama of 0.6 million parameters.",
        ),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, max=MOST_ROWS, metavar="N", help="Sequences.")] = 8,
    length: Annotated[int, typer.Option(min=2, max=MOST_LENGTH, metavar="N", help="Tokens of each.")] = 256,
    seed: Annotated[
        int, typer.Option(min=0, max=MOST_SEED, metavar="N", help="Of weights and sequences, without --scenario.")
    ] = 0,
    jobs: Jobs = None,
    timeout: Timeout = 600.0,
    envs: Environments = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print mismatch.json on stdout, and nothing else.")] = False,
) -> None:
    """Take one model and the same sequences through trainers and inference engines, and hold each against float64.

    Exit status: 0 all are measured, 2 wrong usage, 3 something is unknown.
    """
    from harness.mismatch import subject
    from harness.mismatch.record import FILE
    from harness.session.folder import own_place

    sources = _sources(engines)
    names = [dtype.value for dtype in dict.fromkeys(dtypes or Dtype)]
    scenario = _scenario(pattern, seed)
    subject.check(scenario, length)
    with own_place(out, "mismatch", "mismatch", frozenset({FILE, MODEL})), terminable():
        try:
            told = _measured(scenario, rows, length, sources, names, out.absolute(), at_once(jobs), timeout, envs)
            _write(told, out)
        except OSError as error:
            raise Stop(f"{error.filename or out} cannot be written: {error.strerror or error}", UNKNOWN) from None
        warn_if_large(envs)
        _report(told, out, as_json)


def _sources(names: Sequence[str] | None) -> tuple[Source, ...]:
    from harness.mismatch.sources import WAYS, chosen
    from harness.session.plan import meant

    known = [way.name for way in WAYS]
    for name in names or ():
        if name not in known:
            raise Stop(f"no --engine is called {name!r}; {meant(name, known, most=1)}there are {', '.join(known)}")
    return chosen(names)


def _scenario(pattern: str | None, seed: int) -> Scenario:
    from harness.mismatch import subject
    from harness.session.plan import choose

    if pattern is None:
        return subject.own(seed)
    if seed:
        raise Stop(f"--seed is of the model that is made without --scenario; write --scenario {pattern}@{seed}")
    found = choose([pattern], 1)
    if len(found) > 1:
        raise Stop(f"--scenario {pattern} is {len(found)} scenarios; name one")
    return found[0].scenario


def _measured(
    scenario: Scenario,
    rows: int,
    length: int,
    sources: Sequence[Source],
    dtypes: Sequence[str],
    out: Path,
    jobs: int,
    timeout: float,
    envs: Path | None,
) -> Mismatch:
    from harness.environments import store
    from harness.mismatch import gathering, subject
    from harness.mismatch.asked import Job
    from scenarios import checkpoint

    errors(f"drawing {rows} sequences of {length} tokens from the exact distribution")
    ids = subject.sampled(scenario, rows, length)
    checkpoint.write(scenario, out / MODEL)
    job = Job(scenario, out / MODEL, ids, out, timeout)
    runs: list[Run] = []
    number, begun = len(sources) * len(dtypes), time.monotonic()
    every = gathering.gather(job, sources, dtypes, envs or store.default_root(), jobs, errors)
    for done, answered in enumerate(every, 1):
        runs += answered.runs
        took = f" ({answered.seconds:.1f} s)" if answered.seconds else ""
        left = f", about {spoken((time.monotonic() - begun) / done * (number - done))} left" if done < number else ""
        first = answered.runs[0]
        errors(f"[{done}/{number}{left}] {first.framework} {first.dtype} {answered.said}{took}")
    exact = {name: subject.exact(scenario, ids, dtype) for name, dtype in subject.DTYPES.items()}
    return _told(scenario, ids, runs, exact)


def _told(scenario: Scenario, ids: Tensor, runs: Sequence[Run], exact: dict[str, Exact]) -> Mismatch:
    from harness.history.identity import identity
    from harness.mismatch import claims, measured
    from harness.mismatch.record import Mismatch
    from harness.version import own_version
    from scenarios import weights

    pairs = measured.pairs(runs, exact)
    every = exact[measured.FLOAT32].every
    return Mismatch(
        lockstep=own_version(),
        harness=identity(),
        command=shlex.join(["lockstep", *sys.argv[1:]]),
        machine=f"{platform.machine()}, {os.cpu_count()} cores",
        scenario=scenario.name,
        seed=scenario.seed,
        architecture=scenario.model.architecture,
        parameters=weights.count(scenario.model),
        vocabulary=scenario.model.vocab_size,
        rows=ids.shape[0],
        length=ids.shape[1],
        entropy=float(-(every.exp() * every).sum(-1).mean()),
        roundings=measured.roundings(exact),
        runs=[measured.run(one, exact) for one in runs],
        pairs=pairs,
        claims=claims.claims(pairs),
    )


def _write(told: Mismatch, out: Path) -> None:
    """mismatch.json, and its pages. Raises OSError."""
    from harness import files
    from harness.mismatch import record
    from reports.html import mismatch as html
    from reports.mismatch import markdown

    record.write(told, out)
    files.replace(out / PAGE, markdown.page(told))
    files.replace(out / HTML, html.page(told))


def _report(told: Mismatch, out: Path, as_json: bool) -> None:
    from harness.mismatch.record import FILE
    from reports.mismatch import terminal

    if as_json:
        json((out / FILE).read_text(encoding="utf-8"))
    else:
        terminal.show(told, console(soft_wrap=True, width=WIDTH))
        say(f"all of it: {out / FILE}")
        say(f"to look at: {out / HTML}")
    raise typer.Exit(UNKNOWN if any(run.state == "unknown" for run in told.runs) else 0)
