"""Measuring points: their environments are resolved, what is in the history is taken from there, the rest is run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from harness.bisection.point import Point
from harness.bisection.search import Outcome, Verdict
from harness.environments import build, installer, store
from harness.environments.environment import Environment
from harness.environments.installer import BuildFailed
from harness.environments.request import BadRequest, Request
from harness.history.store import BadHistory, History, Measurement
from harness.judging.accepted import GONE
from harness.session import real
from harness.session.folder import RunFolder
from harness.session.parts import Observer
from harness.session.plan import Plan, way
from harness.session.session import Session
from harness.verdicts.verdict import CellRecord, DiagnosisRecord

Note = Callable[[Request, str], None]

CRASH_KEPT = dt.timedelta(days=1)

RESOLVERS = 4
"""Environments that are resolved at once; each mostly waits for the package index."""


class Impossible(Exception):
    """This machine cannot go on measuring; the message is one line with the remedy."""


@dataclass(frozen=True)
class Measured:
    """One measurement of one point."""

    outcome: Outcome
    version: str | None = None
    """As it stands in a verdict."""
    reason: str | None = None
    """Why it tells nothing."""
    diagnoses: tuple[DiagnosisRecord, ...] = ()
    seconds: float | None = None
    """Of its processes; None if nothing ran."""
    trace: str | None = None
    """Its folder, from that of the bisection, if it was measured now."""
    command: str | None = None
    kept: bool = False
    """Whether it comes from the history."""


@dataclass
class Measurer:
    """Measures points on the one scenario of `plan`; the plan's own requests do not count."""

    plan: Plan
    out: Path
    """Runs are kept in numbered folders under it."""
    envs: Path | None
    history: History
    observer: Observer
    cause: str | None = None
    """Count only causes that begin with this; what has others alone counts as right."""

    def measure(self, points: Sequence[Point], earlier: Sequence[int]) -> list[Measured]:
        """Measure each point once more than the `earlier` times that it was measured before, from fresh processes.

        Raises Impossible, BadHistory, and whatever a session raises.
        """
        with ThreadPoolExecutor(RESOLVERS) as pool:
            try:
                found = list(pool.map(self._known, points, earlier))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                installer.kill_all()
                raise
        due = [point for point, known in zip(points, found, strict=True) if known is None]
        ran = iter(self._run([point.request for point in due]) if due else [])
        return [known or next(ran) for known in found]

    def _known(self, point: Point, earlier: int) -> Measured | None:
        """What is known of a point without running it; None if it has to be."""
        try:
            environment = build.identify(
                point.request, self.envs or store.default_root(), lambda text: self.observer.note(point.request, text)
            )
        except BuildFailed as error:
            return _failed(error)
        except BadRequest as error:
            return Measured(Outcome("uninstallable"), reason=str(error))
        choice = self.plan.choices[0]
        same_way = way(self.plan.command(point.request, choice))
        measured = self.history.find(self.plan.scenario(choice).hash, environment)
        found = [self._kept(m, point) for m in measured if _counts(m) and way(m.command) == same_way]
        # One that was ever different is not to be taken for stable.
        found[1:] = sorted(found[1:], key=lambda m: m.outcome == found[0].outcome)
        return found[earlier] if len(found) > earlier else None

    def _kept(self, kept: Measurement, point: Point) -> Measured:
        return Measured(
            self._outcome(kept.verdict, kept.diagnoses, kept.findings),
            version=kept.version,
            reason=kept.reason,
            diagnoses=kept.diagnoses,
            seconds=kept.seconds,
            command=self.plan.command(point.request, self.plan.choices[0]),
            kept=True,
        )

    def _run(self, requests: Sequence[Request]) -> list[Measured]:
        """Run each in a session of its own folder, whose processes no other measurement shares."""
        plan = replace(self.plan, requests=tuple(requests))
        failures: dict[Request, BuildFailed] = {}
        lost: list[BadHistory] = []
        session_parts = real.parts(plan, self.envs, (), _unheard)

        def ensure(request: Request, note: Callable[[str], None]) -> Environment:
            try:
                return session_parts.ensure(request, note)
            except BuildFailed as error:
                failures[request] = error
                raise

        def keep(cell: CellRecord) -> None:
            try:
                self.history.add(cell)
            except BadHistory as error:  # in a thread of the session, which would take it for the cell's own fault
                lost.append(error)

        parts = replace(session_parts, ensure=ensure, keep=keep, views=lambda *_: [])
        with RunFolder.claim(self._next_folder()) as folder:
            cells = Session(plan, folder, parts, self.observer).run().cells
        if lost:
            raise lost[0]
        return [
            _failed(failures[request]) if request in failures else self._ran(cell, folder.path)
            for request, cell in zip(requests, cells, strict=True)
        ]

    def _next_folder(self) -> Path:
        runs = self.out / "runs"
        taken = [int(path.name) for path in runs.glob("*") if path.name.isdecimal()]
        return runs / f"{max(taken, default=0) + 1:03d}"

    def _ran(self, cell: CellRecord, folder: Path) -> Measured:
        return Measured(
            self._outcome(cell.verdict, cell.diagnoses, [f.code for f in cell.findings]),
            version=cell.version,
            reason=cell.reason,
            diagnoses=tuple(cell.diagnoses),
            seconds=cell.seconds,
            trace=(folder / cell.trace).relative_to(self.out).as_posix() if cell.trace else None,
            command=cell.command,
        )

    def _outcome(self, verdict: str, diagnoses: Sequence[DiagnosisRecord], codes: Sequence[str]) -> Outcome:
        return outcome(verdict, [d.kind for d in diagnoses], codes, self.cause)


VERDICTS: Mapping[str, Verdict] = {
    "pass": "pass", "fail": "fail", "accepted": "fail", "unknown": "unknown", "unsupported": "unsupported",
}  # fmt: skip


def outcome(verdict: str, kinds: Sequence[str], codes: Sequence[str], cause: str | None = None) -> Outcome:
    """What a cell's verdict says of its release: what is known of it elsewhere does not count.

    Of a failure the causes are told, or the codes of its findings where no cause is known. `cause`: the one to look
    for; what fails in other ways alone counts as right.
    """
    if VERDICTS[verdict] != "fail":
        return Outcome(VERDICTS[verdict])
    wrong = tuple(dict.fromkeys(kinds)) or tuple(sorted(set(codes) - {GONE}))
    looked_for = tuple(kind for kind in wrong if cause is None or kind.startswith(cause))
    return Outcome("fail", looked_for) if looked_for else Outcome("pass")


def _counts(kept: Measurement) -> bool:
    """A crash may have been the machine's fault, and is believed for a day."""
    measured = dt.datetime.fromisoformat(kept.measured)
    return kept.verdict != "unknown" or dt.datetime.now(dt.UTC) - measured < CRASH_KEPT


def _unheard(_: str) -> None:
    """Only a run's own keeper would warn, and a bisection that cannot keep what it measures ends instead."""


def _failed(error: BuildFailed) -> Measured:
    """Raises Impossible where the release is not to blame."""
    if error.local:
        raise Impossible(str(error))
    last = [line.strip() for line in error.tail.splitlines() if line.strip()][-1:]
    return Measured(Outcome("uninstallable"), reason=": ".join([str(error), *last]))
