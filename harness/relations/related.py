"""From a run of both sides of every pair to what is told of each relation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.environments.request import Request
from harness.history.identity import identity
from harness.relations.held import held, unheld
from harness.relations.pairs import Pair, Silent
from harness.relations.planned import choice
from harness.relations.record import PairRecord, Relations, SilentRecord
from harness.session.plan import Plan, release
from harness.verdicts.verdict import CellRecord
from harness.version import own_version


def related(
    plan: Plan, pairs: Sequence[Pair], silent: Sequence[Silent], cells: Sequence[CellRecord], out: Path, command: str
) -> Relations:
    """Every relation that was asked, release by release. `cells`: of the run in `out`."""
    known = {cell.command: cell for cell in cells}
    asked = [pair.relation for pair in pairs] + [one.relation for one in silent]
    return Relations(
        lockstep=own_version(),
        harness=identity(),
        command=command,
        fault=plan.fault,
        sentences={relation.name: relation.sentence for relation in asked},
        pairs=[record for request in plan.requests for record in _of(plan, request, pairs, known, out)],
        silent=[SilentRecord(relation=s.relation.name, base=s.base.name, reason=s.reason) for s in silent],
    )


def _of(
    plan: Plan, request: Request, pairs: Sequence[Pair], known: Mapping[str | None, CellRecord], out: Path
) -> Iterator[PairRecord]:
    """What came out of one release."""
    version = release(request, request.version or "")
    for pair in pairs:
        if (why := pair.refused(request.framework)) is not None:
            yield unheld(pair, request.framework, version, (None, None), "unsupported", why)
            continue
        one, other = (known[plan.command(request, choice(side, out))] for side in pair.sides)
        yield held(pair, (one, other), out)
