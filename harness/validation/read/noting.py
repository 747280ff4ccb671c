"""Stands in the place of a launcher while a script is captured: notes how it was called, and starts nothing.

Standard library only, and nothing of ours: it is run by its path, without site packages, so that it starts at once.
`known.json` in its folder says which programs train, and which variables decide something.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

KNOWN = "known.json"
PID = "pid"
"""Of the process that everything ends with."""
MOST = 64
"""Calls that are noted."""
SHELLS = ("bash", "sh", "zsh")
PYTHON = re.compile(r"python(?:3(?:\.\d+)?)?")

What = Literal["training", "nothing", "unknown"]


def main() -> int:
    """Note one call; what is not known is noted as such, and ends the script before it can go on."""
    folder, name, *words = sys.argv[1:]
    known = json.loads(Path(folder, KNOWN).read_text())
    if name in known["carriers"]:
        inner = next((at for at, word in enumerate(words) if _base(word) in SHELLS or _launches(word, known)), None)
        if inner is not None and _base(words[inner]) in SHELLS:
            os.execvp(words[inner], words[inner:])
        what: What = _judged(_base(words[inner]), words[inner + 1 :], known) if inner is not None else "unknown"
    else:
        what = _judged(name, words, known)
    if what == "unknown" and " ".join([name, *words[:1]]) in known["quiet"]:
        what = "nothing"
    if what != "nothing":
        _note(Path(folder), {"what": what, "words": [name, *words], "cwd": str(Path.cwd()), "variables": _said(known)})
    if what == "unknown":
        _end(Path(folder))
    return 0


def _base(word: str) -> str:
    return word.rpartition("/")[2]


def _launches(word: str, known: Any) -> bool:
    return _base(word) in known["launchers"] or PYTHON.fullmatch(_base(word)) is not None


def _judged(name: str, words: Sequence[str], known: Any) -> What:
    """What it would do."""
    if PYTHON.fullmatch(name):
        return _of_python(words, known)
    if name in ("torchrun", "deepspeed") or (name == "accelerate" and words[:1] == ["launch"]):
        return "training"
    return "training" if f"{name} {words[0] if words else ''}" in known["programs"] else "unknown"


def behind_flags(words: Sequence[str]) -> list[str]:
    """Words of an interpreter without its own options: a script, or -m or -c, and what follows."""
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c"):
        rest = rest[2 if rest[0] in ("-W", "-X") else 1 :]
    return rest


def _of_python(words: Sequence[str], known: Any) -> What:
    rest = behind_flags(words)
    if rest[:2] == ["-m", "pip"]:
        return "nothing"
    program = rest[1] if rest[:1] == ["-m"] and len(rest) > 1 else rest[0] if rest and rest[0] != "-c" else ""
    trains = program in known["modules"] or any(
        program == one or program.endswith(f"/{one}") for one in known["programs"]
    )
    options = {word.lstrip("-").partition("=")[0].replace("-", "_") for word in rest[1:] if word.startswith("--")}
    return "training" if trains or (program and options & set(known["options"])) else "unknown"


def _said(known: Any) -> dict[str, str]:
    """Variables that decide something."""
    patterns = known["variables"]
    return {k: v for k, v in sorted(os.environ.items()) if any(fnmatch.fnmatchcase(k, one) for one in patterns)}


def _note(folder: Path, note: dict[str, Any]) -> None:
    """Under the next number, whole or not at all; another one may be noting as well."""
    partial = folder / f"{os.getpid()}.partial"
    partial.write_text(json.dumps(note))
    for number in range(MOST):
        with contextlib.suppress(FileExistsError):
            os.link(partial, folder / f"{number:03}.note")
            break
    partial.unlink()


def _end(folder: Path) -> None:
    """End all of it; this process too is killed, and does not return before."""
    os.kill(int(Path(folder, PID).read_text()), signal.SIGKILL)
    time.sleep(30)


if __name__ == "__main__":
    sys.exit(main())
