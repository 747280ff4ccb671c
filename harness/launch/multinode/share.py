"""The share of a cell's ranks that one machine has, as torchrun is told of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """One of several machines with as many ranks each; ranks of the first come first."""

    number: int = 0
    machines: int = 1
    address: str = ""
    """Of the first machine, where all ranks meet, as the others know it."""
    port: int = 0

    @property
    def log(self) -> str:
        """What torchrun printed there, in the folder of the trace."""
        return "log-torchrun.txt" if self.machines == 1 else f"log-torchrun-{self.number}.txt"

    def ranks(self, of: int) -> range:
        """Those of a cell's ranks that are there."""
        each = of // self.machines
        return range(self.number * each, (self.number + 1) * each)

    def options(self, ranks: int) -> list[str]:
        """Of torchrun. Static: so that ranks are numbered by the machines' order, and not as they come."""
        each = ["--nproc-per-node", str(ranks // self.machines)]
        if self.machines == 1:
            return ["--standalone", *each]
        place = ["--nnodes", str(self.machines), "--node-rank", str(self.number)]
        return [
            *place,
            *each,
            "--rdzv-backend",
            "static",
            "--master-addr",
            self.address,
            "--master-port",
            str(self.port),
        ]


ALONE = Share()
