"""A command line taken apart: what launches it, how many processes, which program, and that program's options."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

from yaml import YAMLError

from harness.validation.read import shell
from harness.validation.read.bounded import BadConfiguration, value_of
from harness.validation.read.configuration import COMMAND, Setting
from harness.validation.read.noting import PYTHON, SHELLS, behind_flags

TOOLS = ("llamafactory-cli", "lmf", "trl", "swift", "axolotl")
"""Commands of frameworks, with a verb behind them."""
LAUNCHERS = ("torchrun", "deepspeed", "accelerate")
_FLAGS = frozenset({
    "standalone", "no_python", "run_path", "use_env", "use_deepspeed", "use_fsdp", "multi_gpu", "cpu", "use_cpu",
    "no_local_rank", "force_multi", "no_ssh", "bind_cores_to_rank", "tpu", "debug", "same_network", "no_ssh_check",
})  # fmt: skip
"""Options of launchers that have no value."""
_RANKS = ("nproc_per_node", "num_gpus", "num_processes")
_SEEN = "CUDA_VISIBLE_DEVICES"
_NODES = ("nnodes", "num_nodes")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


@dataclass(frozen=True)
class Launched:
    """A command line's parts."""

    program: str
    """A tool with its verb, a module, or a script."""
    words: tuple[str, ...] = ()
    """The program's own."""
    launcher: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """The launcher's."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the environment, as the line sets them, or whoever runs the script that it stands in."""
    own: frozenset[str] = frozenset()
    """Those that the line itself sets."""
    before: tuple[str, ...] = ()
    """Words that stand before what launches it, such as srun with its options."""
    odd: tuple[str, ...] = ()
    """What nobody may have meant with the script that it stands in, a sentence each."""

    @property
    def ranks(self) -> int | None:
        """Where the command line says how many there are."""
        if self.launcher == "deepspeed" and (places := self.options.get("include")):
            return sum(len(part.rpartition(":")[2].split(",")) for part in str(places).split("@"))
        told = next(
            (self.options[name] for name in _RANKS if name in self.options), self.variables.get("NPROC_PER_NODE")
        )
        nodes = next((self.options[name] for name in _NODES if name in self.options), self.variables.get("NNODES", 1))
        if self.launcher == "accelerate":
            nodes = 1  # it says the number of all processes
        if told is None and self.program.startswith(("llamafactory", "lmf")) and (seen := self.variables.get(_SEEN)):
            told = len(seen.split(","))
        whole = all(re.fullmatch(r"[1-9]\d{0,4}", str(part)) for part in (told, nodes))
        return int(str(told)) * int(str(nodes)) if whole else None


def launched(words: Sequence[str]) -> Launched:
    """The training that a command line starts. Raises BadConfiguration."""
    variables, rest = _variables(words)
    if rest and PurePath(rest[0]).name in SHELLS:
        return _of_script(rest, variables)
    return _one(rest, variables, frozenset(variables)) or _refuse(rest)


def _refuse(words: Sequence[str]) -> Launched:
    if len(words) == 1 and PurePath(words[0]).suffix:
        raise BadConfiguration(
            f"{words[0][:80]!r} is no file that is read: a configuration's ends in .yaml, .yml or .json; of a script"
            " or a program give the command that starts it, such as bash run_sft.sh"
        )
    raise BadConfiguration(
        f"no training is seen in what begins with {' '.join(words[:1])[:80]!r}; known are"
        f" {', '.join((*TOOLS, *LAUNCHERS))} and python"
    )


def _variables(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    found: dict[str, str] = {}
    rest = list(words)
    while rest and (match := _ASSIGNMENT.fullmatch(rest[0])):
        found[match[1]] = match[2]
        rest = rest[1:]
    if rest[:1] != ["env"]:
        return found, rest
    more, behind = _variables(rest[1:])
    return found | more, behind


def _of_script(words: Sequence[str], variables: Mapping[str, str]) -> Launched:
    files = [word for word in words[1:] if not word.startswith("-")]
    if not files or "-c" in words:
        raise BadConfiguration(f"give {words[0]} the file of a script, which is read and not run")
    path = Path(files[0])
    arguments = words[list(words).index(files[0]) + 1 :]
    found = []
    script = shell.read(path, variables, arguments)
    for line in script.commands:
        own, rest = _variables(line)
        if (one := _one(rest, {**variables, **own}, frozenset(own))) is not None:
            found.append((_rank(one), line, one))
    best = min((rank for rank, _, _ in found), default=None)
    chosen = [(line, one) for rank, line, one in found if rank == best]
    if not chosen:
        raise BadConfiguration(f"{path} starts no training that is known; --capture runs it and sees")
    if len(chosen) > 1:
        raise BadConfiguration(f"{path} starts {len(chosen)} trainings; give the command line of one of them")
    own, rest = _variables(shell.resolved(path, chosen[0][0]))
    one = _one(rest, {**variables, **own}, frozenset(own)) or _refuse(rest)
    return replace(one, odd=tuple(script.odd))


def _rank(one: Launched) -> int:
    """Tools of frameworks and their modules first, then what is launched, then any program."""
    known = one.program.split(" ")[0] in TOOLS or one.program.startswith(("openrlhf.", "verl.", "trl.", "axolotl."))
    return 0 if known else 1 if one.launcher else 2


_NO_TRAINING = frozenset({
    "pip", "pip3", "conda", "mamba", "apt", "apt-get", "git", "cd", "echo", "printf", "which", "type", "command", "rm",
    "mkdir", "cp", "mv", "ls", "ln", "cat", "set", "source", ".", "unset", "ulimit", "kill", "pkill", "killall", "if",
    "sleep", "wait", "wget", "curl", "while", "for", "case", "tee", "[", "[[", "test", "module",
})  # fmt: skip
"""What begins a command that starts none, though it may name what would."""


def _one(words: Sequence[str], variables: Mapping[str, str], own: frozenset[str]) -> Launched | None:
    """None where none is known."""
    if words and (words[0] in _NO_TRAINING or list(words[:2]) == ["uv", "pip"]):
        return None
    at = next((at for at, word in enumerate(words) if _launches(PurePath(word).name)), None)
    found = None if at is None else _at(words, at, variables)
    return found and replace(found, own=own, before=tuple(words[:at]))


def _launches(name: str) -> bool:
    return name in TOOLS or name in LAUNCHERS or PYTHON.fullmatch(name) is not None


def _at(words: Sequence[str], at: int, variables: Mapping[str, str]) -> Launched | None:
    """What the word at that place launches; None if it launches nothing."""
    name, rest = PurePath(words[at]).name, list(words[at + 1 :])
    if name in TOOLS:
        return Launched(f"{name} {rest[0] if rest else ''}", tuple(rest[1:]), None, {}, variables)
    if name == "accelerate" and rest[:1] == ["launch"]:
        return _behind(name, rest[1:], variables)
    if name in ("torchrun", "deepspeed"):
        return _behind(name, rest, variables)
    return _of_python(rest, variables) if PYTHON.fullmatch(name) else None


def _of_python(words: Sequence[str], variables: Mapping[str, str]) -> Launched | None:
    rest = behind_flags(words)
    if rest[:1] == ["-c"] or not rest:
        return None
    if rest[0] == "-m" and len(rest) > 1:
        if rest[1] in ("torch.distributed.run", "torch.distributed.launch"):
            return _behind("torchrun", rest[2:], variables)
        if rest[1] in ("deepspeed.launcher.runner", "accelerate.commands.launch"):
            return _behind(rest[1].split(".")[0], rest[2:], variables)
        return None if rest[1] == "pip" else Launched(rest[1], tuple(rest[2:]), None, {}, variables)
    return Launched(rest[0], tuple(rest[1:]), None, {}, variables)


def _behind(launcher: str, words: Sequence[str], variables: Mapping[str, str]) -> Launched | None:
    options: dict[str, Any] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word, rest = rest[0], rest[1:]
        name, equals, _ = word.lstrip("-").replace("-", "_").partition("=")
        if name in ("m", "module"):
            continue  # the program is a module then, which is what comes next
        if equals:
            options[name] = word.partition("=")[2]
        elif name in _FLAGS or not rest:
            options[name] = True
        else:
            options[name], rest = rest[0], rest[1:]
    if not rest:
        return None
    if PurePath(rest[0]).name in TOOLS or PYTHON.fullmatch(PurePath(rest[0]).name):
        inner = _at(rest, 0, variables)
        return inner and Launched(inner.program, inner.words, launcher, options, variables)
    return Launched(rest[0], tuple(rest[1:]), launcher, options, variables)


def options(words: Sequence[str], known: Mapping[str, Any]) -> list[Setting]:
    """`--key value`, `--key=value`, `--key` and `--no_key` as settings. Raises BadConfiguration for anything else."""
    found: list[Setting] = []
    rest = list(words)
    while rest:
        word, rest = rest[0], rest[1:]
        if not re.match(r"--?[A-Za-z]", word):
            raise BadConfiguration(f"{word[:60]!r} in the command line belongs to no option")
        name, equals, text = word.lstrip("-").partition("=")
        key = name.replace("-", "_")
        values: list[str] = [text] if equals else []
        while not equals and rest and not re.match(r"--?[A-Za-z]", rest[0]):
            values.append(rest.pop(0))
        if not values and key.startswith("no_") and key not in known and key[3:] in known:
            found.append(Setting(key[3:], False, COMMAND))
            continue
        told: list[Any] = [literal(value) for value in values]
        found.append(Setting(key, True if not told else told[0] if len(told) == 1 else told, COMMAND))
    return found


def overrides(words: Sequence[str]) -> list[Setting]:
    """`key=value` as settings, also with the signs that Hydra puts before them. Raises BadConfiguration."""
    found = []
    for word in words:
        key, equals, text = word.partition("=")
        if word.startswith("~") and not equals:
            equals, text = "=", "null"
        if not equals or not re.fullmatch(r"[+~]{0,2}[A-Za-z_@][\w.@/-]*", key):
            raise BadConfiguration(f"{word[:60]!r} is no KEY=VALUE")
        found.append(Setting(key.lstrip("+~"), literal(text), COMMAND, added=key.startswith("+")))
    return found


def literal(text: str) -> Any:
    """A word of a command line as the value that YAML reads in it, where that is a plain one; else as it stands."""
    if text[:1] == "{":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    try:
        value = value_of(text) if len(text) < 1000 else text
    except (YAMLError, ValueError, RecursionError):  # it is text, then
        return text
    plain = (bool, int, float, str)
    if isinstance(value, list) and all(isinstance(each, plain) for each in value):
        return value
    return value if isinstance(value, plain) else text
