"""Make the tables of options anew, in environments of releases: `python -m harness.validation.known.gathering`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.version import Version

from harness.environments import build, store
from harness.environments.environment import Environment
from harness.environments.request import parse
from harness.launch.asking import started
from harness.validation.known.releases import FOLDER, Release, spans

REQUESTS = (
    "trl==0.11.4", "trl==0.12.2", "trl==0.14.0", "trl==0.16.1", "trl==0.18.1", "trl==0.19.1", "trl==0.23.1",
    "trl==1.0.0", "trl==1.16.0",
    "llamafactory==0.9.1", "llamafactory==0.9.3", "llamafactory==0.9.5",
    "ms-swift==4.6.0",
    "openrlhf==0.8.3", "openrlhf==0.9.10", "openrlhf==0.10.2", "openrlhf==0.11.2",
    "verl==0.5.0", "verl==0.6.1", "verl==0.7.1", "verl==0.9.1",
    "deepspeed==0.15.2", "deepspeed==0.18.2", "deepspeed==0.19.8",
)  # fmt: skip


def main() -> int:
    """Writes one file a package."""
    parser = argparse.ArgumentParser(prog="python -m harness.validation.known.gathering", description=__doc__)
    parser.add_argument("--envs", type=Path, help="folder of the environments")
    options = parser.parse_args()
    found: dict[str, dict[str, Release]] = {}
    for request in REQUESTS:
        environment = build.ensure(parse(request).resolved(), options.envs or store.default_root(), _note)
        _note(f"asking {request}")
        for package, told in asked(environment).items():
            release = Release(package, told["version"], told["options"], told.get("presets", {}))
            found.setdefault(package, {})[release.version] = release
    for package, by_version in found.items():
        (FOLDER / f"{package.replace('/', '-')}.json").write_text(text(by_version.values()))
    return 0


def asked(environment: Environment) -> dict[str, Any]:
    """What `adapters.inside.options` answers in an environment. Raises subprocess.CalledProcessError."""
    with started(environment, "adapters.inside.options", environment.framework) as (start, folder):
        done = subprocess.run(
            start.command,
            env=start.environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def text(found: Iterable[Release]) -> str:
    """A file of a package: an option a line, so that a reader sees one change as one."""
    ordered = sorted(found, key=lambda one: Version(one.version))
    told = {
        "releases": json.dumps([one.version for one in ordered]),
        "options": _lines(spans(ordered)),
        "presets": _lines({one.version: one.presets for one in ordered if one.presets}),
    }
    return "{\n" + ",\n".join(f' "{name}": {value}' for name, value in told.items() if value) + "\n}\n"


def _lines(told: Mapping[str, Any]) -> str:
    """A mapping with a line for each of its keys; nothing for an empty one."""
    lines = [f"  {json.dumps(name)}: {json.dumps(value, sort_keys=True)}" for name, value in told.items()]
    return "{\n" + ",\n".join(lines) + "\n }" if lines else ""


def _note(said: str) -> None:
    print(said, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
