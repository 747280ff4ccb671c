"""What changed from one night to the next, cell by cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.nightly.causes import is_underneath
from harness.nightly.record import CellSeen


@dataclass(frozen=True)
class Change:
    """One cell whose outcome is another one."""

    framework: str
    scenario: str
    before: CellSeen
    after: CellSeen


def changes(before: Iterable[CellSeen], after: Iterable[CellSeen]) -> list[Change]:
    """Cells that both nights had, and that had another verdict or other causes; releases may differ."""
    old = {_key(cell): cell for cell in before}
    pairs = [(old[_key(cell)], cell) for cell in after if _key(cell) in old]
    return [Change(a.framework, a.scenario, b, a) for b, a in pairs if b.outcome != a.outcome]


def _key(cell: CellSeen) -> tuple[str, str, bool]:
    return cell.framework, cell.scenario, is_underneath(cell.version)
