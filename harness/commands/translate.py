"""`lockstep translate`: the options of one framework as those of another, and whether both make the same update."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import running
from harness.commands.confined import PassEnv, Sandboxed, confinement
from harness.commands.disk import warn_if_large
from harness.commands.options import Environments, Jobs, Timeout, at_once
from harness.commands.output import console, document, errors
from harness.commands.stop import UNKNOWN, Stop
from harness.limits import MAX_RANKS

if TYPE_CHECKING:
    from harness.environments.request import Request
    from harness.session.folder import RunFolder
    from harness.session.plan import Plan
    from harness.translating.dialects import Dialect
    from harness.translating.meaning import Meaning


class Method(StrEnum):
    dpo = "dpo"
    grpo = "grpo"


def translate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME[==V]:FILE",
            help="Release, and its options: YAML, JSON, a script that starts it, or words of a command line.",
            show_default=False,
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME[==V]", help="Release whose options are wanted. Default: the newest.", show_default=False
        ),
    ],
    method: Annotated[
        Method | None, typer.Option(help="What the options are of, where they do not say it.", show_default=False)
    ] = None,
    ranks: Annotated[
        int | None,
        typer.Option(
            min=1, max=MAX_RANKS, metavar="N", help="Data-parallel ranks of the source. Default: as it says, else 1."
        ),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run/--no-run", help="Whether both releases are run small, and held against each other.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the two runs. Default: .runs/ and the UTC time.")
    ] = None,
    jobs: Jobs = None,
    timeout: Timeout = 600.0,
    envs: Environments = None,
    pass_env: PassEnv = None,
    sandbox: Sandboxed = False,
) -> None:
    """Print the nearest settings of another framework on stdout, and on stderr what remains different.

    Exit status: 0 both mean the same and made the same update, 1 something is different, 2 wrong usage, 3 an option has
    no meaning here, or one of the releases could not be run.
    """
    from harness.session.folder import RunFolder, unused
    from harness.session.plan import Plan
    from harness.translating import source as sources
    from harness.translating import trial
    from harness.translating.meaning import remaining

    (asked, file), wanted = _source(source), _request(target)
    read = sources.read(file)
    own = sources.dialect(asked.framework, read, method and method.value)
    meaning = own.read(sources.names(own, read.options), ranks or read.ranks)
    if run and asked == wanted:
        raise Stop(f"{asked} is both: there is nothing to hold against it; give another release, or --no-run")
    other = _target(wanted, own)
    settings = other.write(meaning)
    different = list(remaining(meaning, settings, other.read(settings.options, ranks or read.ranks)))
    lines = [
        *_read(asked, own, meaning),
        *(["remains different:", *(f"  {line}" for line in different)] if different else [_ALIKE]),
    ]
    if not run:
        _told(sources.rendered(settings.options, other.layout), lines)
        raise typer.Exit(1 if different else 0)
    at = out or unused(Path(".runs"))
    plan = Plan(
        requests=(asked, wanted),
        choices=(trial.choice(meaning, at),),
        jobs=at_once(jobs),
        timeout=timeout,
        confinement=confinement(pass_env, sandbox),
    )
    with RunFolder.claim(at, resume=True) as folder:
        _told(sources.rendered(settings.options, other.layout), lines)
        status = _run(plan, meaning, folder, envs)
    raise typer.Exit(status or (1 if different else 0))


_ALIKE = "nothing that is read remains different"


def _source(text: str) -> tuple[Request, Path]:
    """Raises Stop and BadRequest."""
    name, colon, file = text.partition(":")
    if not colon or not file:
        raise Stop(f"{text!r} names no file: write NAME:FILE or NAME==VERSION:FILE")
    return _request(name), Path(file)


def _request(text: str) -> Request:
    """Raises BadRequest."""
    from harness.environments.request import parse
    from harness.site.current import current

    return current().own(parse(text)).resolved()


def _target(wanted: Request, own: Dialect) -> Dialect:
    """Raises NoMeaning."""
    from harness.translating import dialects
    from harness.translating.meaning import NoMeaning
    from harness.translating.source import none_of

    found = dialects.find(wanted.framework, own.method)
    if found is None:
        raise NoMeaning(none_of(wanted.framework, own.method))
    return found


def _read(asked: Request, own: Dialect, meaning: Meaning) -> list[str]:
    """What was read, and what was not."""
    lines = [f"{asked} is read as {own.framework} {own.release} has these options"]
    taken = [f"{key}={value}" for key, value in meaning.defaults.items()]
    if meaning.alone:
        taken.append("1 data-parallel rank; say --ranks if there are more")
    if taken:
        lines.append("by default: " + ", ".join(taken))
    if meaning.unread:
        lines.append("not read: " + ", ".join(meaning.unread))
    return lines


def _told(settings: str, lines: list[str]) -> None:
    document(settings)
    errors("\n".join(lines))


def _run(plan: Plan, meaning: Meaning, folder: RunFolder, envs: Path | None) -> int:
    """Run both small, and say whether they made the same update: the exit status. Raises Stop."""
    from harness.translating import trial
    from harness.verdicts.verdict import FILE
    from reports import across

    trial.write(meaning, folder.path)
    verdict = running.verdict(plan, folder, envs, (), "the same command with this --out goes on with it", kept=False)
    warn_if_large(envs)
    small = ", ".join(trial.smaller(meaning))
    errors(f"the objective was run small by both{f', with {small}' if small else ''}: {folder.path / FILE}")
    if missing := [cell for cell in verdict.cells if cell.verdict in ("unsupported", "unknown")]:
        errors("\n".join(f"{cell.framework}=={cell.version} is {cell.verdict}: {cell.reason}" for cell in missing))
        return UNKNOWN
    across.show(verdict.views, console(stderr=True))
    for cell in verdict.cells:
        for diagnosis in cell.diagnoses:
            errors(f"{cell.framework}=={cell.version}: {diagnosis.summary}")
    if not verdict.views or not verdict.views[0].groups:
        return UNKNOWN
    return 1 if len(verdict.views[0].groups) > 1 else 0
