"""A user's own interpreter as an environment: nothing is installed, what is there is read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from harness import processes, temporary
from harness.environments import variables
from harness.environments.installer import TAIL_LINES, BuildFailed

TIMEOUT = 120.0
"""Seconds; an interpreter on a cluster's network file system can take long to start."""

_ASK = """
import importlib.metadata as m, json, platform, re
named = [(d.metadata["Name"], d.version) for d in m.distributions() if d.metadata["Name"]]
names = {re.sub("[-_.]+", "-", name).lower(): version for name, version in reversed(named)}
tag = [platform.python_implementation(), platform.python_version(), platform.system(), platform.machine()]
print(json.dumps({"packages": names, "platform": "-".join(tag)}))
"""


class Answer(BaseModel):
    """What an interpreter says of itself."""

    packages: dict[str, str]
    """Versions by name, in its normal form."""
    platform: str


@dataclass(frozen=True)
class Installed:
    """What an interpreter has."""

    version: str
    """Of the framework."""
    lock: tuple[str, ...]
    platform: str


def inspect(framework: str, package: str, python: Path) -> Installed:
    """Ask an interpreter what is installed. Raises BuildFailed if it cannot say, or lacks the framework's package."""
    answer = ask(framework, python)
    version = answer.packages.get(package)
    if version is None:
        raise BuildFailed(framework, str(python), f"{package} is not installed for this interpreter; install it there")
    lock = tuple(sorted(f"{name}=={version}" for name, version in answer.packages.items()))
    return Installed(version=version, lock=lock, platform=answer.platform)


def ask(framework: str, python: Path) -> Answer:
    """What is installed for an interpreter; nothing of the folder that this was started in is imported there.

    Raises BuildFailed, which names the framework that it was asked for.
    """
    if not os.access(python, os.X_OK) or python.is_dir():
        raise BuildFailed(framework, str(python), "this interpreter is missing or not executable")
    plain = variables.chosen(os.environ, variables.PLACE, variables.LIBRARIES)
    try:
        with temporary.folder("ask") as scratch:
            environment = {**plain, "TMPDIR": str(scratch)}
            command = [str(python.absolute()), "-B", "-c", _ASK]
            done = processes.run(command, environment, timeout=TIMEOUT, folder=scratch, cwd=scratch)
        if done.code != 0:
            tail = "\n".join(done.errors.splitlines()[-TAIL_LINES:])
            raise BuildFailed(framework, str(python), f"this interpreter ends with status {done.code}", tail)
        return Answer.model_validate_json(done.output.strip().splitlines()[-1])
    except processes.TimedOut:
        raise BuildFailed(framework, str(python), f"this interpreter says nothing for {TIMEOUT:.0f} s") from None
    except processes.TooMuchOutput:
        most = processes.LARGEST >> 20
        raise BuildFailed(framework, str(python), f"this interpreter prints more than {most} MiB") from None
    except (OSError, IndexError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise BuildFailed(framework, str(python), f"this is not a Python interpreter ({reason})") from None
