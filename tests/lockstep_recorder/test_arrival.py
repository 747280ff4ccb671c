"""When torch comes, in the process of a script that nobody has written for this."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import lockstep_recorder
from lockstep_recorder.settings import VARIABLE, Settings

PACKAGE = Path(lockstep_recorder.__file__).parent
ASKED = "import importlib.util; assert importlib.util.find_spec('torch').origin"
WATCHED = "import torch.nn.modules.module as m; print(len(m._global_forward_pre_hooks))"


def test_torch_is_watched_though_somebody_asked_before_whether_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_bytes((PACKAGE / "inject.py").read_bytes())
    path = os.pathsep.join([str(tmp_path), str(PACKAGE.parent)])
    environment = {**os.environ, "PYTHONPATH": path, VARIABLE: Settings(out=str(tmp_path / "out")).dumps()}
    done = subprocess.run(
        [sys.executable, "-c", f"{ASKED}; {WATCHED}"], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
