"""The command `lockstep`. What a command needs is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from harness.commands import (
    bisect,
    compare,
    detect,
    doctor,
    env,
    explain,
    fault,
    fuzz,
    history,
    judge,
    list_,
    mismatch,
    mismatch_training,
    nightly,
    objectives,
    record,
    relate,
    report,
    run,
    seal,
    sites,
    staircase,
    stock,
    streams,
    translate,
    validate,
)
from harness.commands.output import say, warn
from harness.commands.stop import INTERRUPTED, UNKNOWN, WRONG_USAGE, Stop, in_one_line

app = typer.Typer(
    help="Run identical training steps through real releases of post-training frameworks, and say which is wrong.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("list")(list_.list_)
app.command("explain")(explain.explain)
app.command("compare")(compare.compare)
app.command("judge")(judge.judge)
app.command("record")(record.record)
app.command("seal")(seal.seal)
app.command("report")(report.report)
app.command("bisect")(bisect.bisect)
app.command("nightly")(nightly.nightly)
app.command("fuzz")(fuzz.fuzz)
app.command("relate")(relate.relate)
app.command("detect")(detect.detect)
app.command("objectives")(objectives.objectives)
app.command("history")(history.history)
app.command("mismatch")(mismatch.mismatch)
app.command("staircase")(staircase.staircase)
app.command("mismatch-training")(mismatch_training.mismatch_training)
app.command("stock")(stock.stock)
app.command("translate")(translate.translate)
app.command("validate")(validate.validate)
app.command("doctor")(doctor.doctor)
app.add_typer(env.app, name="env")

# What typer raises for options it does not know and values it cannot read: click's own class, or typer's copy of it.
_Usage: type[Exception] = typer.BadParameter.__mro__[1]


def _version(wanted: bool) -> None:
    if wanted:
        from harness.version import own_version

        say(f"lockstep {own_version()}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    site: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Site file, before the command's name. Default: $LOCKSTEP_SITE, or lockstep.toml in this folder.",
        ),
    ] = None,
) -> None:
    defaults = sites.use(site)
    context.default_map = dict.fromkeys(getattr(context.command, "commands", ()), defaults)


def call(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status; whatever goes wrong with it is one line on stderr."""
    words = sys.argv[1:] if arguments is None else arguments
    # `git bisect run` takes every status below this one for a bad commit
    stepping = bisect.ABORT if bisect.STEP in words else 0
    try:
        with in_one_line():
            status = app(arguments, prog_name="lockstep", standalone_mode=False)
    except Stop as stop:
        return _told(str(stop), max(stop.status, stepping))
    except (KeyboardInterrupt, typer.Abort):
        return _told("interrupted", INTERRUPTED)
    except _Usage as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "lockstep"
        return _told(f"{_message(error)}; see `{path} --help`", stepping or WRONG_USAGE)
    except BaseException as error:  # noqa: BLE001  a panic of a library in Rust is no Exception
        return _told(fault.told(error), stepping or UNKNOWN)
    if status == INTERRUPTED:  # typer makes a status of an interrupt
        return _told("interrupted", status)
    return status if isinstance(status, int) else 0


def _message(error: BaseException) -> str:
    said = error.format_message() if hasattr(error, "format_message") else ""
    # Given no command at all, typer has shown the help already.
    return str(said).rstrip(".") or "give a command"


def _told(message: str, status: int) -> int:
    warn(message)
    return status


def main() -> NoReturn:
    """Entry point."""
    streams.guard()
    fault.install()
    status = call()
    if status == INTERRUPTED:
        # Everything was told to end. What did not (a thread that waits for a process) must not keep the user waiting,
        # and ends with this process.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
