"""One night at a time, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.nightly.lock import Taken, alone

HOLD = """
import sys, time
from pathlib import Path
from harness.nightly.lock import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_one_is_told_which_process_it_is_and_a_killed_one_leaves_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(Taken, match=rf"process {holder.pid}, since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"),
        alone(tmp_path),
    ):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with alone(tmp_path), pytest.raises(Taken, match=f"process {os.getpid()}"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass
