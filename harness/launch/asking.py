"""Asking a framework's environment what it can express, without running anything."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.contract import Scenario, to_dict
from harness.environments.environment import Environment
from harness.launch.pythonpath import adapters_alone
from harness.launch.sandbox import SCRATCH, Start, start_in

Ask = Callable[[Scenario], str | None]
"""Why the framework cannot express a scenario; None if it can."""


class NoAnswer(Exception):
    """The environment's process ended before it had answered."""


@contextmanager
def started(environment: Environment, module: str, *arguments: str) -> Iterator[tuple[Start, Path]]:
    """How a module is run in an environment only to be asked, and the folder for it, which holds what it leaves."""
    variables = {**environment.variables, **environment.cpu_variables}
    with adapters_alone() as folder:
        (folder / SCRATCH).mkdir()
        command = [str(environment.python), "-m", module, *arguments]
        yield start_in(folder, command, environment.python, variables, None), folder


@contextmanager
def asking(environment: Environment) -> Iterator[Ask]:
    """One process of the environment answers all questions. Raises NoAnswer."""
    words = ("adapters.inside.asked", environment.adapter, environment.framework, environment.version)
    with (
        started(environment, *words) as (start, folder),
        subprocess.Popen(
            start.command,
            env=start.environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def ask(scenario: Scenario) -> str | None:
            questions.write(json.dumps(to_dict(scenario)) + "\n")
            questions.flush()
            answer = answers.readline()
            if not answer:
                raise NoAnswer(f"{environment.framework} {environment.version} does not say what it can express")
            reason: str | None = json.loads(answer)
            return reason

        try:
            yield ask
        finally:
            process.kill()
