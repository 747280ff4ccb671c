"""The real parts of a night: the package index, uv, and sessions as `lockstep run` has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from harness.environments import store
from harness.environments.request import Request
from harness.judging.accepted import Entry
from harness.nightly import newest
from harness.nightly.night import Ended, Parts
from harness.nightly.outbox import Render
from harness.session import real
from harness.session.folder import RunFolder
from harness.session.parts import Observer
from harness.session.plan import Plan
from harness.session.session import Session
from harness.verdicts.verdict import Verdict


class Watcher(Observer, Protocol):
    """Who watches a night."""

    def told(self, text: str) -> None:
        """What goes on before any environment is built."""

    def failing(self, word: str) -> None:
        """What a cell that fails is called from now on."""

    def warn(self, text: str) -> None:
        """What goes wrong beside the cells."""


@dataclass(frozen=True)
class Faces:
    """What people read of a night; `reports` has it, which nothing here may import."""

    ticket: Render
    pages: Callable[[Path], str | None]
    """See `night.Parts`."""
    night: Callable[[Ended], None]


def parts(
    envs: Path | None, listed: Sequence[Entry], faces: Faces, watcher: Watcher, planned: Callable[[int], None]
) -> Parts:
    """What `lockstep nightly` works with; environments are kept under `envs`, or in the default place.

    `planned` is told before each session how many cells it has.
    """

    def underneath(request: Request, prereleases: bool) -> Request | None:
        root = (envs or store.default_root()).absolute()
        return newest.underneath(request, prereleases, root, watcher.told, datetime.now(UTC).date())

    def run(plan: Plan, folder: RunFolder, with_accepted: bool) -> Verdict:
        planned(plan.cells)
        watcher.failing("FAIL" if with_accepted else "canary")
        entries = listed if with_accepted else ()
        return Session(plan, folder, real.parts(plan, envs, entries, watcher.warn), watcher).run()

    look_up = _look_up(watcher.told)
    return Parts(look_up, underneath, run, faces.ticket, faces.pages, faces.night, lambda: datetime.now(UTC))


def _look_up(told: Callable[[str], None]) -> Callable[[Sequence[str], bool], newest.Lookup]:
    def look_up(packages: Sequence[str], prereleases: bool) -> newest.Lookup:
        told(f"looking for releases of {', '.join(packages)}")
        return newest.look_up(packages, prereleases)

    return look_up
