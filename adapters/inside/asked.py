"""What an environment's framework can express: `python -m adapters.inside.asked ADAPTER FRAMEWORK VERSION`.

Reads a scenario a line, as JSON, and answers each with a line: why it is unsupported, as a string, or null.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import cast

from adapters.contract import module_of, scenario_from_dict
from adapters.inside.rank import Adapter, unsupported


def main() -> int:
    """Answers go to stdout alone; what a framework prints goes to stderr."""
    name, framework, version = sys.argv[1:4]
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        for line in sys.stdin:
            scenario = scenario_from_dict(json.loads(line))
            adapter = cast("Adapter", importlib.import_module(module_of(name, scenario)))
            reason = unsupported(adapter, scenario, framework, version)
            print(json.dumps(reason), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
