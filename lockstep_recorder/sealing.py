"""The seal of a recording: the digest of every file, written last of all. Standard library only."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from lockstep_recorder.names import END, EXCHANGE, HEADER, RECORDER, SCHEMA


def digests(out: Path) -> dict[str, str]:
    """SHA-256 in hex of every file that a seal names, by its path from the recording's folder."""
    names = sorted(p for p in out.rglob("*") if p.is_file() and _counts(p.relative_to(out)))
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in names}


def _counts(path: Path) -> bool:
    return path.suffix != ".partial" and path.parts[0] not in (RECORDER, EXCHANGE) and path.name != END


def seal(out: Path, status: int) -> None:
    """Write the seal. status: of the training's command, 0 where there was none."""
    partial = out / f"{END}.{os.getpid()}.partial"
    partial.write_text(json.dumps({"schema": SCHEMA, "status": status, "files": digests(out)}, indent=1) + "\n")
    partial.replace(out / END)


def tidy(out: Path) -> None:
    """Take away what processes leave that were killed, or had no more disk: half files, and half lines."""
    shutil.rmtree(out / EXCHANGE, ignore_errors=True)
    for partial in out.rglob("*.partial"):
        partial.unlink(missing_ok=True)
    for path in (path for path in out.glob("steps-r*.jsonl") if path.is_file() and not path.is_symlink()):
        every = path.read_bytes().splitlines(keepends=True)
        whole = [line for line in every if _is_json(line)]
        if len(whole) < len(every):
            path.write_bytes(b"".join(whole))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return line.endswith(b"\n")


def leave(out: Path, rank: int) -> None:
    """A rank writes no more. The last one that says so seals the recording: none waits, and none asks another."""
    place, claimed = out / EXCHANGE, out / f"{EXCHANGE}.left"
    try:
        place.mkdir(exist_ok=True)
        (place / f"left-r{rank:02d}").touch()
        ranks = int(json.loads((out / HEADER).read_bytes())["ranks"])
        if not all((place / f"left-r{other:02d}").exists() for other in range(ranks)):
            return
        place.rename(claimed)  # by one alone, if two have come to see all
    except FileNotFoundError:  # another seals; or rank 0, which writes the header, comes later or sees another disk
        return
    shutil.rmtree(claimed)
    tidy(out)
    seal(out, 0)
