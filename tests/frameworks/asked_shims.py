"""`python asked_shims.py FRAMEWORK VERSION ADAPTER FOLDER < SCENARIOS`: what an adapter would change, by scenario.

Run inside a framework's own environment, up to the first call of a device: nothing is trained.
"""

from __future__ import annotations

import importlib
import json
import sys

from adapters.contract import Job, misplaced, module_of, scenario_from_dict
from adapters.inside.rank import unsupported


def main() -> None:
    framework, version, name, folder = sys.argv[1:]
    found = []
    for content in json.load(sys.stdin):
        scenario = scenario_from_dict(content)
        adapter = importlib.import_module(module_of(name, scenario))
        if unsupported(adapter, scenario, framework, version):
            continue
        shims = adapter.shims(Job(name, framework, version, scenario, folder, folder))
        wrong = misplaced(shims, scenario.device)
        found.append([scenario.name, [shim.name for shim in shims], wrong])
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
