"""What runs on each machine of a cell that several have: `python -m harness.launch.multinode.far`, its streams a line.

It ends, and all that it has started, when the other end is gone.
"""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapters.contract import Job
from harness.launch.multinode.interface import towards
from harness.launch.multinode.line import Gone, Line
from harness.launch.multinode.share import Share
from harness.launch.torchrun import Torchrun

INTERFACE = "GLOO_SOCKET_IFNAME"
"""Without it gloo takes the address that the machine's own name stands for, which may be none that others reach."""


def main() -> None:
    """Answer what is asked, then run a share of a cell."""
    line = _line()
    try:
        asked = line.hear()
        line.tell(missing=[path for path in asked["see"] if not Path(path).exists()], port=_free_port())
        _run(line, line.hear())
    except Gone:
        return


def _line() -> Line:
    """Over this process's standard streams; what is printed from now on goes with the errors."""
    read, write = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return Line(read, write)


def _run(line: Line, order: dict[str, Any]) -> None:
    variables, share = order["variables"], Share(**order["share"])
    if INTERFACE not in {*variables, *os.environ} and (found := towards(order["other"])):
        variables = {INTERFACE: found, **variables}
    with Torchrun(Path(order["python"]), variables) as launcher:
        threading.Thread(target=_close_when_gone, args=(line, launcher), daemon=True).start()
        ending = launcher.share(Job.loads(order["job"]), share, order["timeout"])
    line.tell(**{**asdict(ending), "left": sorted(ending.left)})
    line.close()


def _close_when_gone(line: Line, launcher: Torchrun) -> None:
    try:
        line.hear()
    except Gone:
        launcher.close()


def _free_port() -> int:
    with socket.create_server(("", 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
