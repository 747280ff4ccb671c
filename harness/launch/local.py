"""How the cells of one environment are started on the machine that this runs on: here, or on a node of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.environments.build import Order
from harness.launch.built import Built
from harness.launch.multinode.machines import Machines
from harness.launch.sandbox import Sandbox
from harness.launch.template import Template
from harness.launch.torchrun import Torchrun
from harness.launch.variables import passed


@dataclass(frozen=True)
class Local:
    """All that a launcher of one environment needs. It holds no value of the user's shell."""

    launcher: str
    python: Path
    adapter: str
    variables: Mapping[str, str]
    """The environment's own."""
    passed: tuple[str, ...]
    """Names of the variables that frameworks see as well, with the values that they have where the launcher runs."""
    log: Path
    sandbox: Sandbox | None
    machines: Machines | None = None
    """Those that the ranks of each cell are spread over, by torchrun; None: all run on this one."""

    order: Order | None = None
    """What is built on this machine before the launcher starts; None: the environment is there."""

    def runner(self) -> Template | Torchrun | Built:
        """One that is not started yet. Raises BadVariable."""
        launcher = self._launcher()
        return launcher if self.order is None else Built(self.order, launcher)

    def _launcher(self) -> Template | Torchrun:
        variables = {**passed(self.passed), **self.variables}
        if self.launcher == "torchrun":
            return Torchrun(self.python, variables, self.sandbox, self.machines)
        return Template(self.python, self.adapter, variables, self.log, self.sandbox)
