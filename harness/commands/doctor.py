"""`lockstep doctor`: what this machine can run and what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.environments.machine import Probe


def _default_root() -> Path:
    from harness.environments import store

    return store.default_root()


def doctor(
    root: Annotated[Path, typer.Option("--envs", default_factory=_default_root, help="Folder of environments.")],
) -> None:
    """Say what this machine can run and what is missing; ends with status 0 if it can run scenarios on the CPU."""
    from rich.console import Console

    from harness.environments import machine

    console = Console(soft_wrap=True, highlight=False)
    found = machine.probes(root)
    for probe in found:
        console.print(_line(probe))
    if not machine.can_run(found):
        console.print("[red]this machine cannot run scenarios on the CPU yet[/]: see the lines marked missing")
        raise typer.Exit(3)
    console.print("[green]this machine can run scenarios on the CPU[/]")


def _line(probe: Probe) -> str:
    from rich.markup import escape

    name, says = f"{probe.name:<20}", escape(probe.says)
    if probe.ok:
        return f"[green]ok      [/] {name} {says}"
    state = "[red]missing [/]" if probe.required else "[yellow]optional[/]"
    return f"{state} {name} {says}; {escape(probe.remedy)}"
