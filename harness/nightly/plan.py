"""What a night is to run, decided before anything starts and written down: a night that goes on runs the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from packaging.version import Version
from pydantic import BaseModel, ConfigDict, Field

from harness.environments import recipes
from harness.environments.installer import BuildFailed
from harness.environments.recipes import VersionText
from harness.environments.request import BadRequest, Request, parse
from harness.launch.cluster.slurm import Allocation
from harness.nightly.canaries import Canary
from harness.nightly.newest import Lookup, watched
from harness.session.plan import UNCONFINED, Choice, Confinement, Plan, choose

Underneath = Callable[[Request], Request | None]


@dataclass(frozen=True)
class Wish:
    """What the user asks of a night."""

    only: tuple[str, ...] = ()
    """Frameworks, or one release of one; empty: all of them."""
    prereleases: bool = False
    patterns: tuple[str, ...] = ("*",)
    """Shell patterns of scenarios."""
    canaries: tuple[Canary, ...] = ()
    jobs: int = 1
    timeout: float = 300.0
    confinement: Confinement = UNCONFINED
    allocation: Allocation | None = None
    """What is asked of a cluster for the cells, one node for each; None: they run here."""

    def plan(
        self,
        requests: tuple[Request, ...],
        choices: tuple[Choice, ...],
        pairs: frozenset[tuple[Request, Choice]] | None = None,
    ) -> Plan:
        """These run as it says."""
        return Plan(
            requests,
            choices,
            self.jobs,
            self.timeout,
            pairs=pairs,
            confinement=self.confinement,
            allocation=self.allocation,
        )


class NightPlan(BaseModel):
    """What one night runs, with every version named."""

    model_config = ConfigDict(frozen=True)

    only: tuple[str, ...]
    prereleases: bool
    patterns: tuple[str, ...]
    canaries: tuple[Canary, ...]
    requests: tuple[Annotated[str, Field(pattern="^[^@]*$")], ...]
    """As `parse` reads them; never an interpreter or a file by its path."""
    scenarios: tuple[str, ...]
    newest: dict[str, VersionText]
    """The newest release of every package that is watched, as far as it could be looked up tonight or before."""
    unsettled: tuple[str, ...] = ()
    """Frameworks of which nobody could tell tonight what is newest underneath."""
    problems: tuple[str, ...] = ()
    """What could not be looked up."""

    def answers(self, wish: Wish) -> bool:
        """Whether it is the plan of just that wish."""
        return self.compares(wish) and self.canaries == wish.canaries

    def compares(self, wish: Wish) -> bool:
        """Whether it is the plan of a wish for the same releases and scenarios, whatever the canaries."""
        return (self.only, self.prereleases, self.patterns) == (wish.only, wish.prereleases, wish.patterns)


def limits(only: Sequence[str]) -> tuple[Request, ...]:
    """What `--only` names: frameworks, each newest or in one release. Raises BadRequest."""
    asked = []
    for text in only:
        request = parse(text)
        if request.overrides or request.python or request.pins:
            raise BadRequest(f"{text!r} is more than a night is limited to; write NAME or NAME==VERSION")
        request.resolved()
        asked.append(request)
    return tuple(dict.fromkeys(asked))


def frameworks(only: Sequence[str]) -> tuple[str, ...]:
    """Those that `--only` names; none if it names nothing. Raises BadRequest."""
    return tuple(dict.fromkeys(request.framework for request in limits(only)))


def make(wish: Wish, looked_up: Lookup, before: Mapping[str, str], underneath: Underneath) -> NightPlan:
    """The plan of a new night. `before`: what was newest in the last one, for what cannot be looked up now.

    Raises BadRequest and BadPlan.
    """
    newest = {**before, **looked_up.newest}
    problems = [f"{told}; the newest that is known was taken" for told in looked_up.problems]
    requests: list[Request] = []
    unsettled: list[str] = []
    for asked in limits(wish.only) or map(parse, recipes.shipped().framework):
        request = _newest(asked, newest, problems)
        try:
            found = underneath(request)
        except BuildFailed as error:
            problems.append(f"{error}; what is newest under {request} was not run")
            unsettled.append(request.framework)
            found = None
        requests += [request] if found is None else [request, found]
    return NightPlan(
        only=wish.only,
        prereleases=wish.prereleases,
        patterns=wish.patterns,
        canaries=wish.canaries,
        requests=tuple(map(str, dict.fromkeys(requests))),
        scenarios=tuple(choice.pattern for choice in choose(wish.patterns, 1)),
        newest={name: newest[name] for name in watched() if name in newest},
        unsettled=tuple(unsettled),
        problems=tuple(problems),
    )


def _newest(asked: Request, newest: Mapping[str, str], problems: list[str]) -> Request:
    known = recipes.shipped()
    version = asked.version or newest.get(known.package(asked.framework)) or known.framework[asked.framework].newest
    if not known.covers(asked.framework, version):
        problems.append(f"no recipe covers {asked.framework} {version}; add one to recipes.toml. The last one was run")
        version = known.framework[asked.framework].newest
    return replace(asked, version=version)


def whole(plan: NightPlan, wish: Wish) -> Plan:
    """Every framework on every scenario."""
    choices = choose(plan.scenarios, 1)
    requests = tuple(parse(text).resolved() for text in plan.requests)
    return wish.plan(requests, choices)


def of_canaries(plan: NightPlan, wish: Wish) -> Plan:
    """Each canary on its scenario."""
    return _pairs([(canary.request, Choice(canary.scenario)) for canary in plan.canaries], wish)


def of_cells(plan: Plan, named: Mapping[tuple[str, str, str], None], version: Callable[[Request], str]) -> Plan:
    """The cells of that framework, version and label alone. `version` tells how a request stands in a cell."""
    cells = [(r, c) for r in plan.requests for c in plan.choices if (r.framework, version(r), c.label) in named]
    return replace(
        plan,
        requests=tuple(dict.fromkeys(r for r, _ in cells)),
        choices=tuple(dict.fromkeys(c for _, c in cells)),
        pairs=frozenset(cells),
    )


def _pairs(cells: Sequence[tuple[Request, Choice]], wish: Wish) -> Plan:
    requests, choices = (tuple(dict.fromkeys(of)) for of in zip(*cells, strict=True))
    return wish.plan(requests, choices, pairs=frozenset(cells))


def news(newest: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """What is newer than in the last such night, as `5.22.2 -> 5.23.0`, by package; empty after none."""
    return {
        name: f"{before[name]} -> {version}"
        for name, version in newest.items()
        if name in before and Version(version) > Version(before[name])
    }
