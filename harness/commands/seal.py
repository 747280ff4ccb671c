"""`lockstep seal`: the digests of a recording whose ranks could not write them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands.options import folder
from harness.commands.output import say
from harness.commands.stop import Stop


def seal(
    out: Annotated[
        Path, typer.Argument(metavar="DIR", callback=folder, help="Folder of the recording.", show_default=False)
    ],
) -> None:
    """Seal a recording whose training was killed, or whose ranks wrote to several disks and were put together.

    Half-written files are taken away. A recording that is sealed is left as it is.
    """
    from harness.recordings import reader
    from lockstep_recorder import sealing
    from lockstep_recorder.names import END

    if not reader.is_recording(out):
        raise Stop(f"{out} holds no recording; give the folder of one")
    if (out / END).exists():
        raise Stop(f"{out} is sealed already; judge it: lockstep judge {out}")
    try:
        sealing.tidy(out)
        sealing.seal(out, 0)
    except OSError as error:
        raise Stop(
            f"{out} cannot be sealed ({error.strerror}); make room, or give a folder that can be written"
        ) from None
    say(f"sealed: lockstep judge {out}")
