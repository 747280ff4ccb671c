"""Trainings with a mismatch at a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from harness.policy.record import Experiment
from reports import claims, tables
from reports.policy import told


def show(found: Experiment, console: Console) -> None:
    """Print the arms and the claims."""
    console.print(Text(told.setting(found)), soft_wrap=True)
    for line in found.broken:
        console.print(Text(f"  BROKE: {line}", "bold red"), soft_wrap=True)
    console.print(tables.made(told.ARMS, told.arms(found)))
    console.print()
    claims.at_terminal(found.claims, console)
    console.print(Text(told.summary(found)), soft_wrap=True)
