"""Stand-ins for modules that a framework imports but a tiny step on text never needs, where they are not installed.

Each is a folder below `stubbed`, with no more in it than what makes the framework's own imports succeed.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from adapters.contract import Shim

FOLDER = Path(__file__).with_name("stubbed")


def stand_in(module: str, reason: str) -> tuple[Shim, ...]:
    """Let `import module` find the stand-in, unless the real one is installed: then nothing happens.

    Returns what to declare. Call it before the framework is imported. `reason`: why the real one is not there.
    """
    place = str(FOLDER / module)
    if place not in sys.path:
        if find_spec(module) is not None:
            return ()
        sys.path.append(place)
    return (Shim(f"stub-{module.replace('_', '-').lower()}", reason),)
