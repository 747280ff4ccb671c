"""Make the standard matrices anew: `python -m harness.matrices`, an environment of every framework's newest release.

Each framework's own adapter is asked what it can express, so that no cell of a matrix is refused.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from adapters.contract import Scenario
from adapters.expressed import FRAMEWORKS, refused
from harness.environments import build, store
from harness.environments.request import parse
from harness.launch.asking import Ask, asking
from harness.matrices.axes import AXES, RARE, SIZES
from harness.matrices.covering import Covering, Refuse, Row, cover
from scenarios import matrices

MANY, FEW = 64, 32
"""Rows of a step: in general, and where low-rank updates alone are trained."""


def main() -> int:
    """Writes `matrices.json`; frameworks that are not named stay as they are there."""
    parser = argparse.ArgumentParser(prog="python -m harness.matrices", description=__doc__)
    parser.add_argument("--framework", action="append", metavar="NAME", help="this one alone; may be repeated")
    parser.add_argument("--size", action="append", choices=SIZES, help="this one alone; may be repeated")
    parser.add_argument("--envs", type=Path, help="folder of the environments")
    options = parser.parse_args()
    content: dict[str, Any] = json.loads(matrices.FILE.read_text()) if matrices.FILE.exists() else {}
    for framework in options.framework or FRAMEWORKS:
        environment = build.ensure(parse(framework).resolved(), options.envs or store.default_root(), _note)
        with asking(environment) as ask:
            for size in options.size or SIZES:
                covering = cover(AXES[size], refusing(ask, framework), RARE)
                content.setdefault(size, {})[framework] = as_json(covering)
                told = f"{len(covering.rows)} scenarios, {covering.pairs} pairs, {covering.missed} missed"
                _note(f"{framework} {size}: {told}")
    matrices.FILE.write_text(_ordered(content))
    return 0


def _ordered(content: Mapping[str, Any]) -> str:
    sizes = {size: content[size] for size in SIZES if size in content}
    by_name = {size: {name: of[name] for name in FRAMEWORKS if name in of} for size, of in sizes.items()}
    # A row a line, so that a reader sees one change as one.
    text = json.dumps(by_name, indent=1)
    return re.sub(r"\n {5,}|\n {4}(?=\})", " ", text) + "\n"


def refusing(ask: Ask, framework: str) -> Refuse:
    """By the scenario's own rules first, then by the table of what adapters honour, then by the adapter itself."""

    @cache
    def of(text: str) -> str | None:
        try:
            scenario = matrices.made(json.loads(text), "asked")
            return _untold(scenario) or refused(scenario, framework) or ask(scenario)
        except ValueError as error:
            return str(error)

    def refuse(row: Row) -> str | None:
        return of(json.dumps(row, sort_keys=True))

    return refuse


def _untold(scenario: Scenario) -> str | None:
    """Why a run of it would tell nothing: what is trained has too few numbers for the weights of so many tokens."""
    most = FEW if scenario.model.lora else MANY
    rows = scenario.rows_per_step
    return f"{rows} rows a step are more than a judge can tell apart, {most}" if rows > most else None


def as_json(covering: Covering) -> dict[str, Any]:
    return {
        "pairs": covering.pairs,
        "missed": covering.missed,
        "refused": dict(covering.refused),
        "refused_pairs": covering.refused_pairs,
        "rows": [dict(row) for row in covering.rows],
    }


def _note(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
