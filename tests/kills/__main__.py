"""`python -m tests.kills`: kills commands of Lockstep and what they start, at random, and looks at what is left.

Exit status: 0 if nothing is left and nothing lost, 1 otherwise.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.environments import build, store
from harness.environments.request import parse
from harness.launch import sandbox
from tests.kills import commands, processes
from tests.kills.chain import Chain, Kill, fresh

EACH = 8
"""Kills of one command before it is brought to its end."""
INSTALLING = 0.3
"""Share of the chains that build their environment themselves, so that the installer is killed too."""


def chains(kills: int, seed: int, root: Path, envs: Path, kinds: Sequence[commands.Command]) -> list[Chain]:
    """Commands by turns, each in a folder of its own, until there are enough kills."""
    done: list[Chain] = []
    while (so_far := sum(len(chain.kills) for chain in done)) < kills:
        number = len(done)
        chosen = random.Random(f"{seed} {number}")
        folder = root / f"{number:03d}"
        folder.mkdir(parents=True)
        installs = chosen.random() < INSTALLING
        place = fresh(envs, folder / "envs") if installs else envs
        command = kinds[number % len(kinds)]
        chain = Chain(command, folder, place, chosen, (*command.kinds, *(("uv",) * 4 if installs else ())))
        chain.go(min(EACH, kills - so_far))
        done.append(chain)
        said = "; ".join(chain.problems) or "right"
        name = f"{command.name} (builds)" if installs else command.name
        print(f"{number:3d} {name}: {len(chain.kills)} kills in {chain.seconds:.0f} s, {said}", flush=True)
        if not chain.problems:
            shutil.rmtree(folder)
    return done


def table(kills: Sequence[Kill]) -> Table:
    """How often what was killed, and by what signal."""
    made = Table("", *dict.fromkeys(kill.command for kill in kills), "all")
    for kind in processes.KINDS:
        mine = [kill for kill in kills if kill.kind == kind]
        if mine:
            of = Counter(kill.command for kill in mine)
            made.add_row(kind, *(str(of[str(c.header)] or "") for c in made.columns[1:-1]), str(len(mine)))
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill, and tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=(__doc__ or "").split(":", 1)[1].strip())
    parser.add_argument("--kills", type=int, default=100, help="by default 100, which take an hour of two cores")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="by default the time")
    parser.add_argument("--envs", type=Path, default=None, help="folder of environments")
    parser.add_argument("--only", action="append", help="commands that begin so; may be repeated")
    options = parser.parse_args(arguments)
    envs = (options.envs or store.default_root()).absolute()
    build.ensure_all([parse("torch"), parse("ddp")], envs, print)
    kinds = [c for c in commands.KINDS if not options.only or any(c.name.startswith(o) for o in options.only)]
    try:
        sandbox.check()
    except sandbox.NoSandbox as error:
        print(error)
        kinds = [kind for kind in kinds if "--sandbox" not in kind.words]
    processes.adopt()
    root = Path(tempfile.mkdtemp(prefix="kills-"))
    print(f"seed {options.seed}, in {root}", flush=True)
    done = chains(options.kills, options.seed, root, envs, kinds)
    kills = [kill for chain in done for kill in chain.kills]
    Console(width=140).print(table(kills))
    signals = ", ".join(f"{number} {name}" for name, number in Counter(kill.number for kill in kills).items())
    slowest = max((kill.seconds for kill in kills), default=0.0)
    problems = [problem for chain in done for problem in chain.problems]
    said = f"the last process ended at most {slowest:.1f} s after its command"
    print(f"{len(kills)} kills ({signals}); {said}; {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
