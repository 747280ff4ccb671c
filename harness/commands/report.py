"""`lockstep report`: a run that is over, told in another way."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.output import console, document, say
from harness.commands.stop import INTERRUPTED, Stop, terminable
from harness.version import DISTRIBUTION

if TYPE_CHECKING:
    from reports.source import Source

STDOUT = Path("-")
WIDTH = 120
"""Characters of a line of what a terminal shows, in a file."""


class Format(StrEnum):
    html = "html"
    terminal = "terminal"
    markdown = "markdown"
    junit = "junit"
    github = "github"
    tensorboard = "tensorboard"
    wandb = "wandb"


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run.", show_default=False)],
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            help="html: pages for a browser, as `lockstep run` writes them. terminal: what it prints. markdown: a page "
            "for a CI job's summary. junit: XML, a test case for each cell. github: annotations, as a job prints "
            "them. tensorboard, wandb: the traces step by step, for a tracker of experiments.",
        ),
    ] = Format.html,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="File to write, or folder for html, tensorboard and wandb. Default: stdout, or a folder in DIR.",
            show_default=False,
        ),
    ] = None,
    traces: Annotated[
        bool, typer.Option("--traces", help="With html: pack the traces into it, so that it can be taken elsewhere.")
    ] = False,
) -> None:
    """Tell a run that is over in another way, from its verdict and its traces alone. Nothing is judged again.

    Exit status: 0 written, 2 wrong usage, 3 the run cannot be read.
    """
    if traces and format_ is not Format.html:
        raise Stop(f"--traces belongs to --format html; leave it out of --format {format_}")
    source = _load(folder)
    if out is not None and out != STDOUT:
        _spare(source.folder, out)
    try:
        with terminable():
            _write(source, format_, out, traces)
    except KeyboardInterrupt:
        raise Stop("interrupted; nothing is left half written", INTERRUPTED) from None


def _load(folder: Path) -> Source:
    from harness.commands.recorded import read_run
    from reports import source

    return source.of(folder, read_run(folder))


def _spare(run: Path, out: Path) -> None:
    """Raises Stop where a report would take the place of what it is made from."""
    from harness.session.folder import CELLS, LOGS, SCENARIOS
    from harness.verdicts import verdict

    try:
        root, wanted = run.resolve(), out.resolve()
    except RuntimeError:  # pathlib's word for it, before Python 3.13
        raise Stop(f"{out} is a link to itself; choose another --out") from None
    for evidence in (root / name for name in (verdict.FILE, CELLS, SCENARIOS, LOGS)):
        if wanted.is_relative_to(evidence):
            raise Stop(f"{out} is where the run keeps its evidence; choose another --out")


def _write(source: Source, format_: Format, out: Path | None, traces: bool) -> None:
    if format_ is Format.html:
        _pages(source, out, traces)
    elif format_ in _FOLDERS:
        _into_folder(source, format_, out or _beside(source.folder, format_.value))
    elif out is not None and out != STDOUT:
        _into_file(_text(source, format_), out)
    elif format_ is Format.terminal:
        _show(source)
    else:
        document(_text(source, format_))


# ---- text


def _text(source: Source, format_: Format) -> str:
    from reports import github, junit, markdown

    if format_ is Format.terminal:
        return _drawn(source)
    if format_ is Format.junit:
        return junit.xml(source.verdict)
    if format_ is Format.github:
        return github.commands(source.verdict)
    return markdown.page(source.verdict, str(source.folder))


def _show(source: Source) -> None:
    from reports import terminal

    terminal.show(source.verdict, str(source.folder), console())


def _drawn(source: Source) -> str:
    from io import StringIO

    from reports import terminal

    drawn = StringIO()
    terminal.show(source.verdict, str(source.folder), console(file=drawn, width=WIDTH))
    return drawn.getvalue()


def _into_file(text: str, out: Path) -> None:
    from harness import files

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        files.write(out, text)
    except OSError as error:
        raise _unwritable(out, error) from None


# ---- folders


def _pages(source: Source, out: Path | None, traces: bool) -> None:
    from harness.session.folder import PAGES
    from reports import html

    out = out or source.folder / PAGES
    if out == STDOUT:
        raise _no_stream(Format.html)
    try:
        written = html.write(source, out, traces)
    except OSError as error:
        raise _unwritable(out, error) from None
    say(f"to look at: {written}")


def _no_stream(format_: Format) -> Stop:
    return Stop(f"--format {format_} writes a folder; name it with --out")


def _unwritable(out: Path, error: OSError) -> Stop:
    return Stop(f"{out} cannot be written ({error.strerror}); choose another --out")


def _tensorboard(source: Source, out: Path) -> int:
    from reports import tensorboard

    return tensorboard.write(source, out)


def _wandb(source: Source, out: Path) -> int:
    from reports import wandb

    return wandb.write(source, out)


_FOLDERS: Mapping[Format, Callable[[Source, Path], int]] = {Format.tensorboard: _tensorboard, Format.wandb: _wandb}


def _beside(run: Path, name: str) -> Path:
    """A folder in that of the run. Raises BadFolder for a link in its place."""
    from harness.session.folder import inside

    return inside(run, run / name)


def _into_folder(source: Source, format_: Format, out: Path) -> None:
    """A folder that is there already is refused: these formats would add to it, and tell every value twice."""
    if out == STDOUT:
        raise _no_stream(format_)
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise Stop(f"{out} is there already; give a new folder with --out, or remove it")
        written = _whole(_FOLDERS[format_], source, out)
    except ModuleNotFoundError as error:
        told = f"--format {format_} needs the package {error.name}: pip install '{DISTRIBUTION}[{format_}]'"
        raise Stop(told) from None
    except OSError as error:
        raise _unwritable(out, error) from None
    say(f"{written} of {len(source.cells)} cells have a trace that tells something; written to {out}")


def _whole(write: Callable[[Source, Path], int], source: Source, out: Path) -> int:
    """Nothing is left of what fails or is interrupted: whoever reads it would take it for all."""
    try:
        return write(source, out)
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
