"""The real parts of a session: environments by uv, processes by `harness.launch`, the oracle as judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from adapters.contract import PATCHES, Device, Scenario
from harness.environments import build, installer, pins, store
from harness.environments.build import Order
from harness.environments.environment import Environment
from harness.environments.request import Request
from harness.history import store as history
from harness.judging import accepted
from harness.judging.accepted import Entry
from harness.launch.cluster.queued import Queued
from harness.launch.local import Local
from harness.launch.sandbox import Sandbox
from harness.session.parts import Judged, Parts, Places, Runner
from harness.session.plan import Plan
from harness.verdicts.verdict import CellRecord, ViewRecord
from scenarios import checkpoint


def parts(plan: Plan, root: Path | None, listed: Sequence[Entry], warn: Callable[[str], None]) -> Parts:
    """What `lockstep run` works with; environments are kept under `root`, or in the default place.

    `listed`: divergences that are accepted, so that they do not turn a run red. `warn` is told what goes wrong beside
    the run.
    """

    orders: dict[Path, Order] = {}

    def ensure(request: Request, note: Callable[[str], None]) -> Environment:
        shared = root or store.default_root()
        if plan.allocation is None or plan.allocation.builds is None or request.python is not None:
            return build.ensure(request, shared, note)
        order = build.order(request, shared, plan.allocation.builds, note)
        environment = build.foreseen(order)
        orders[environment.folder] = order
        return environment

    def launch(environment: Environment, places: Places, note: Callable[[str], None]) -> Runner:
        local = Local(
            plan.launcher,
            environment.python.absolute(),
            environment.adapter,
            _variables(environment, plan.device),
            plan.confinement.passed,
            places.log.absolute(),
            _sandbox(environment, places) if plan.confinement.sandbox else None,
            plan.spread,
            orders.get(environment.folder),
        )
        if plan.allocation is None:
            return local.runner()
        return Queued(local, plan.allocation, places.spool, plan.share, plan.jobs, note)

    return Parts(
        ensure,
        launch,
        checkpoint.write,
        _judge(),
        _whole,
        _settle(listed),
        _views,
        _keep(plan, warn),
        installer.kill_all,
    )


def _keep(plan: Plan, warn: Callable[[str], None]) -> Callable[[CellRecord], None]:
    """What a planted fault does is no outcome of the release that it is planted in."""
    return forget if plan.fault is not None else history.keeper(history.default_path(), warn)


def forget(cell: CellRecord) -> None:
    """Keep nothing of a cell in the history."""


def _whole(trace: Path, scenario_hash: str) -> bool:
    """By its checksums. Torch is imported only where there is something to keep."""
    from harness.traces import reader
    from harness.traces.text_files import UnreadableTrace

    try:
        return reader.read(trace).scenario.hash == scenario_hash
    except (reader.IncompleteTrace, UnreadableTrace):
        return False


def _variables(environment: Environment, device: Device) -> dict[str, str]:
    return {**environment.variables, **(environment.cpu_variables if device == "cpu" else {})}


def _sandbox(environment: Environment, places: Places) -> Sandbox:
    return Sandbox((environment.folder.absolute(), places.checkpoints.resolve()), (places.traces.resolve(),))


def _settle(listed: Sequence[Entry]) -> Callable[[CellRecord, Environment, Scenario], CellRecord]:
    def settle(cell: CellRecord, environment: Environment, scenario: Scenario) -> CellRecord:
        installed = {pins.name(line): pins.version(line) or "" for line in environment.lock}
        versions = {**installed, environment.framework: environment.version}
        return accepted.apply(cell, versions, listed, scenario, patched=PATCHES in environment.variables)

    return settle


def _views(cells: Sequence[CellRecord], folder: Path) -> list[ViewRecord]:
    from harness.across import view

    return view.views(cells, folder)


def _judge() -> Callable[[Path], Judged]:
    """Torch is imported with the first trace: environments are built and started meanwhile."""
    judges: list[Callable[[Path], Judged]] = []

    def judge(trace: Path) -> Judged:
        if not judges:
            from harness.judging import judge as judging
            from harness.judging import summary
            from harness.oracle.basis_cache import BasisCache
            from harness.traces import recovered_numbers

            cache = BasisCache()

            def judge_and_keep(folder: Path) -> Judged:
                judged = judging.judge(folder, cache, carried=False)
                recovered_numbers.write([summary.summarize(step) for step in judged.steps], folder)
                return judged

            judges.append(judge_and_keep)
        return judges[0](trace)

    return judge
