"""The end of a night at a terminal: what is new, what goes on, what is gone, and where all of it is."""

from __future__ import annotations

from rich.console import Console

from harness.nightly.record import Night
from reports.nightly import told


def show(night: Night, folder: str, console: Console) -> None:
    """Print a few lines; `folder` is that of the night."""
    console.print(f"night {night.name}: {told.verdict(night)}", style="bold", soft_wrap=True)
    for line in told.reasons(night):
        console.print(f"  {line}", soft_wrap=True)
    for state, heading in told.HEADINGS.items():
        own = [event for event in night.events if told.heading(event) == state]
        console.print(f"{heading}: {len(own)}", soft_wrap=True)
        for event in own:
            mark = told.mark(event)
            console.print(f"  {event.fingerprint}  {event.title}{f' ({mark})' if mark else ''}", soft_wrap=True)
    for package, versions in night.news.items():
        console.print(f"released: {package} {versions}", soft_wrap=True)
    console.print(f"{told.counted(night)}; {told.canaries(night)}", soft_wrap=True)
    console.print(f"all of it: {folder}", soft_wrap=True)
