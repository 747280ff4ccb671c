"""What a held job runs on each of its nodes: it does what it is asked until it is to end, or hears no more."""

from __future__ import annotations

import base64
import json
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from harness.launch.cluster.spool import Spool
from harness.launch.cluster.worker import POLL, SILENCE


class Failed(Exception):
    """What was asked could not be done there; the message is one line."""


def packed(work: Callable[..., Any], of: Sequence[Any]) -> str:
    return base64.b64encode(pickle.dumps((work, tuple(of)))).decode()


def unpacked(answer: str) -> Any:
    """What the work has returned. Raises Failed."""
    said = json.loads(answer)
    if "failed" in said:
        raise Failed(said["failed"])
    return said["answer"]


def serve(root: Path) -> None:
    """Do what the spool at `root` asks, in its order. What runs is ended with this, by SIGTERM too."""
    if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
        return  # Slurm has started it again by itself, and what it did then is not to be done twice
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # submitit would start the job again
    spool = Spool(root)
    if not _hears(spool):
        return
    threading.Thread(target=_end_in_silence, args=(spool,), daemon=True).start()
    for number in count(1):
        while (asked := spool.asked(number)) is None:
            time.sleep(POLL)
        spool.say(number, os.environ["SLURM_PROCID"], _answer(asked))


def _hears(spool: Spool) -> bool:
    """Whether the command that asked for this job still lives."""
    pulse, begun = spool.pulse, time.monotonic()
    while time.monotonic() - begun < SILENCE:
        time.sleep(POLL)
        if (now := spool.pulse) is None:
            return False
        if now != pulse:
            return True
    return False


def _answer(asked: str) -> str:
    work, of = pickle.loads(base64.b64decode(asked))
    try:
        return json.dumps({"answer": work(*of)})
    except Exception as error:  # noqa: BLE001  the command waits for an answer of every node, and tells this one
        said = str(error).splitlines()[:1] or [""]
        return json.dumps({"failed": f"{type(error).__name__}: {said[0]}"})


def _end_in_silence(spool: Spool) -> None:
    while _hears(spool):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _end(number: int, _: object) -> None:
    """What runs is closed on the way, and leaves no file behind; Slurm gives it some seconds."""
    raise SystemExit(128 + number)
