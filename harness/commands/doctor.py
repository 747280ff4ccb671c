"""`lockstep doctor`: what this machine can run and what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from harness.commands.output import console

if TYPE_CHECKING:
    from harness.environments.probe import Probe


def _default_root() -> Path:
    from harness.environments import store

    return store.default_root()


def doctor(
    root: Annotated[Path, typer.Option("--envs", default_factory=_default_root, help="Folder of environments.")],
) -> None:
    """Say what this machine can run, what it has of a cluster, and what is missing.

    Ends with status 0 if it can run scenarios on the CPU.
    """
    from harness.environments import machine
    from harness.site import probes

    told = console(soft_wrap=True)
    found = probes.probes() + machine.probes(root)
    for probe in found:
        told.print(_line(probe))
    if not machine.can_run(found):
        told.print(
            Text.assemble(("this machine cannot run scenarios on the CPU yet", "red"), ": see the lines marked missing")
        )
        raise typer.Exit(3)
    told.print(Text("this machine can run scenarios on the CPU", "green"))


def _line(probe: Probe) -> Text:
    state = ("ok", "green") if probe.ok else ("missing", "red") if probe.required else ("optional", "yellow")
    said = probe.says if probe.ok else f"{probe.says}; {probe.remedy}"
    return Text.assemble((f"{state[0]:<8}", state[1]), f" {probe.name:<21} {said}")
