"""The `sitecustomize` of a recorded command, which Python imports as it starts: watches, and hands on to the user's."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def _hand_on() -> None:
    """Run the sitecustomize that would have been imported without this one, if there is any."""
    others = [path for path in sys.path if Path(path).resolve() != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


try:
    from lockstep_recorder import arrival

    arrival.when_torch_comes()
except Exception as error:  # noqa: BLE001  the training goes on without being watched
    print(f"lockstep: nothing is recorded: {type(error).__name__}: {error}", file=sys.stderr)
_hand_on()
