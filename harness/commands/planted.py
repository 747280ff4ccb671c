"""The option that plants a fault in the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.environments.request import Request

Fault = Annotated[
    str | None,
    typer.Option("--fault", help="Plant a fault in the torch reference; `lockstep list faults` names them."),
]


def check(fault: str | None, requests: Sequence[Request]) -> None:
    """Raises BadPlan for a fault that does not exist, or that a framework other than torch is to run with."""
    if fault is None:
        return
    from adapters import faults
    from harness.session.plan import check_fault

    check_fault(fault, requests, faults.CATALOGUE)
