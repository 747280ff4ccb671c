"""The options that say what the processes of frameworks may see: `--pass-env` and `--sandbox`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.session.plan import Confinement

PassEnv = Annotated[
    list[str] | None,
    typer.Option(
        "--pass-env",
        metavar="NAME",
        help="Let frameworks see this environment variable of yours beside those they need; repeatable.",
    ),
]
Sandboxed = Annotated[
    bool, typer.Option("--sandbox", help="Run frameworks below bubblewrap: no network, no home, nothing else to write.")
]


def confinement(passed: list[str] | None, sandbox: bool) -> Confinement:
    """What these options ask for. Raises BadVariable, and NoSandbox where this machine can make none."""
    from harness.launch import sandbox as sandboxes
    from harness.launch import variables
    from harness.session.plan import Confinement

    names = tuple(dict.fromkeys(passed or []))
    variables.passed(names)
    if sandbox:
        sandboxes.check()
    return Confinement(sandbox, names)
