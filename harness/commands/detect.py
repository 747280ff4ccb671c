"""`lockstep detect`: which planted faults and public bugs each standard matrix finds, and by how few of its cells."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.options import Environments, Jobs, Timeout, at_once, finite
from harness.commands.output import console, json, say
from harness.commands.stop import INTERRUPTED, UNKNOWN, Stop, terminable
from harness.limits import MOST_SECONDS

if TYPE_CHECKING:
    from adapters.faults import Fault
    from harness.commands.progress import Progress
    from harness.detection.bugs import Bug
    from harness.detection.detection import Start, Wish
    from harness.detection.record import CleanRecord, Detection

CLAIM = "detect"
PAGE = "detection.md"
WORK = "work"
MOST_MINUTES = MOST_SECONDS / 60


def detect(
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of what is found. The same command goes on where it was stopped."),
    ],
    matrices: Annotated[
        list[str] | None,
        typer.Option(
            "--matrix",
            metavar="SIZE",
            help="smoke, nightly or full; or named, the scenarios with names. Repeatable. Default: all four.",
        ),
    ] = None,
    faults: Annotated[
        list[str] | None,
        typer.Option("--fault", metavar="GLOB", help="Only these faults, and no bugs but those named; repeatable."),
    ] = None,
    bugs: Annotated[
        list[str] | None,
        typer.Option("--bug", metavar="GLOB", help="Only these bugs, and no faults but those named; repeatable."),
    ] = None,
    clean: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Folder of a run of right releases, to count its false alarms; repeatable."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=MOST_MINUTES,
            metavar="M",
            callback=finite,
            help="After this time no cell is begun, and what is missing is told. Default: until all is done.",
        ),
    ] = None,
    jobs: Jobs = None,
    timeout: Timeout = 300.0,
    envs: Environments = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print detection.json on stdout, and nothing else.")] = False,
) -> None:
    """Plant each fault in the reference, run old releases with known bugs, and tell which matrix finds them.

    Exit status: 0 all that can be seen was found, 1 something was missed, 2 wrong usage, 3 something is not known.
    """
    from harness.detection import sets
    from harness.detection.detection import Wish
    from harness.detection.record import FILE
    from harness.session.folder import own_place

    every = sets.names()
    if unknown := [name for name in matrices or [] if name not in every]:
        raise Stop(f"there is no matrix {unknown[0]!r}; there are {', '.join(every)}")
    wish = Wish(
        tuple(name for name in every if not matrices or name in matrices), *_asked(faults, bugs), _clean(clean or [])
    )
    with own_place(out, CLAIM, "detection", frozenset({FILE})):
        seconds = None if minutes is None else minutes * 60
        found = _detected(wish, out, seconds, at_once(jobs), timeout, envs)
        _report(found, out, as_json)


def _asked(faults: list[str] | None, bugs: list[str] | None) -> tuple[tuple[Fault, ...], tuple[Bug, ...]]:
    """All of both, or what matches where something is named. Raises Stop for a pattern that fits nothing."""
    from adapters.faults import CATALOGUE
    from harness.detection import bugs as public

    known = {bug.name: bug for bug in public.load()}
    everything = not faults and not bugs
    chosen = list(CATALOGUE) if everything else _matching(faults or [], list(CATALOGUE), "fault")
    wanted = list(known) if everything else _matching(bugs or [], list(known), "bug")
    return tuple(CATALOGUE[name] for name in chosen), tuple(known[name] for name in wanted)


def _matching(patterns: Sequence[str], names: Sequence[str], what: str) -> list[str]:
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise Stop(f"no {what} matches {pattern!r}; docs/detection.md names them all")
    return [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def _clean(runs: Sequence[Path]) -> tuple[CleanRecord, ...]:
    """Verdicts of runs, by release. Raises UnreadableVerdict."""
    from harness.detection.record import CleanRecord
    from harness.verdicts import verdict

    counts: dict[str, Counter[str]] = {}
    for cell in (cell for run in runs for cell in verdict.read(run).cells):
        counts.setdefault(f"{cell.framework}=={cell.version}", Counter())[cell.verdict] += 1
    return tuple(CleanRecord(release=release, verdicts=dict(count)) for release, count in sorted(counts.items()))


def _detected(wish: Wish, out: Path, seconds: float | None, jobs: int, timeout: float, envs: Path | None) -> Detection:
    """What is found, written with its page."""
    from harness import files
    from harness.commands.progress import Progress
    from harness.detection.detection import NoReference, detect
    from harness.detection.memory import Memory
    from reports import detection

    memory = Memory(out, seconds)
    try:
        with terminable(), Progress(lambda done: f"{done} cells", console(stderr=True)) as progress:
            progress.failing("found")
            found = detect(wish, memory, _start(out, jobs, timeout, envs, progress), progress.told)
        files.replace(out / PAGE, detection.page(found))
    except KeyboardInterrupt:
        raise Stop("interrupted; the same command goes on with it", INTERRUPTED) from None
    except NoReference as error:
        raise Stop(str(error), UNKNOWN) from None
    except OSError as error:
        raise Stop(f"{out} cannot be written any more: {error.strerror or error}", UNKNOWN) from None
    return found


def _start(out: Path, jobs: int, timeout: float, envs: Path | None, progress: Progress) -> Start:
    from harness.environments.installer import BuildFailed
    from harness.environments.request import Request
    from harness.fuzzing.cells import Cells
    from harness.launch.template import TemplateFailed
    from harness.session import real
    from harness.session.plan import Plan

    @contextmanager
    def start(request: Request) -> Iterator[Cells | str]:
        plan = Plan(requests=(request,), choices=(), jobs=jobs, timeout=timeout)
        parts = real.parts(plan, envs, (), progress.warn)
        with ExitStack() as held:
            held.callback(parts.stop)
            cells = held.enter_context(Cells(request, parts, out / WORK, progress, jobs, timeout))
            try:
                cells.start()
                why = None
            except (BuildFailed, TemplateFailed) as error:
                why = f"{request} does not start: {error}"
            yield cells if why is None else why

    return start


def _report(found: Detection, out: Path, as_json: bool) -> None:
    from harness.detection.record import FILE
    from reports import detection

    if as_json:
        json((out / FILE).read_text(encoding="utf-8"))
    else:
        for line in detection.sentences(found):
            say(line)
        say(f"all of it: {out / FILE}\nto look at: {out / PAGE}")
    raise typer.Exit(_status(found))


def _status(found: Detection) -> int:
    """A matrix without a cell in which a fault acts, or without one that shows a bug, is told, and no failure."""
    outcomes = [outcome for fault in found.faults for outcome in fault.outcomes.values()]
    controls = [control.clean for control in found.sets.values()] + [run.verdicts for run in found.clean]
    if any(outcome.state in ("missed", "named otherwise") for outcome in outcomes):
        return 1
    if any(verdicts.get("fail") for verdicts in controls):
        return 1
    every = [*outcomes, *(outcome for bug in found.bugs for outcome in bug.outcomes.values())]
    return UNKNOWN if any(outcome.state == "unknown" for outcome in every) else 0
