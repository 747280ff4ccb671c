"""The table of wrong command lines: what each option of each command is given, and whole lines (`wrong_together`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tests.harness.wrong_together import CONFLICTS
from tests.harness.wrong_values import (
    CHOICES,
    COUNTS,
    DATES,
    ENVIRONMENTS,
    FILES,
    FLOATS,
    FOLDERS,
    INTEGERS,
    LONG,
    NAMES,
    PLACES,
    RELEASES,
    SCENARIOS,
    TARGETS,
)

BASES: Mapping[str, Sequence[str]] = {
    "run": ["run", "--framework", "torch", "--scenario", "sft-equal", "--envs", "new/envs", "--out", "new/out"],
    "bisect": ["bisect", "torch", "--scenario", "sft-equal", "--envs", "new/envs", "--out", "new/out"],
    "nightly": ["nightly", "--only", "torch", "--dir", "new/nights", "--envs", "new/envs"],
    "stock": ["stock", "--framework", "trl", "--no-measure", "--dir", "new/stock", "--envs", "new/envs"],
    "fuzz": ["fuzz", "--framework", "torch", "--envs", "new/envs", "--out", "new/fuzz"],
    "relate": ["relate", "--framework", "torch", "--envs", "new/envs", "--out", "new/related"],
    "mismatch": ["mismatch", "--dtype", "float32", "--envs", "new/envs", "--out", "new/apart"],
    "staircase": [
        *("staircase", "--framework", "torch", "--fault", "drop-intermediate", "--quick", "--steps", "4"),
        *("--envs", "new/envs", "--out", "new/stairs"),
    ],
    "mismatch-training": ["mismatch-training", "--quick", "--seeds", "1", "--out", "new/policies"],
    "detect": ["detect", "--matrix", "smoke", "--fault", "nesterov", "--envs", "new/envs", "--out", "new/found"],
    "judge": ["judge"],
    "record": ["record", "true", "--out", "new/recording"],
    "seal": ["seal"],
    "validate": ["validate", "sft.yaml", "--plan"],
    "translate": ["translate", "trl:grpo.yaml", "verl", "--envs", "new/envs", "--out", "new/translated"],
    "objectives": ["objectives"],
    "explain": ["explain"],
    "compare": ["compare"],
    "report": ["report", "run"],
    "history": ["history"],
    "list": ["list", "platforms"],
    "doctor": ["doctor"],
    "env list": ["env", "list"],
    "env build": ["env", "build", "torch", "--envs", "new/envs"],
    "env prune": ["env", "prune"],
}
"""A line of each command that is right, or lacks what the wrong value is given for."""

CLUSTER: Mapping[str, Sequence[str]] = {
    "--on": CHOICES,
    "--nodes": (*COUNTS, "2"),  # without --on slurm
    "--nnodes": (*COUNTS, "2"),
    "--cpus": (*COUNTS, "2"),
    "--partition": ("", "gpu"),
    "--account": ("", "mine"),
    "--gres": ("", "gpu:4"),
    "--time": ("", "60"),
    "--sbatch": ("", "--qos=high"),
    "--srun": ("", "--container-image=image"),
    "--prolog": ("", "module load cuda"),
}

VALUES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "run": {
        "--framework": RELEASES,
        "--also": RELEASES,
        "--patch": FILES,
        "--scenario": SCENARIOS,
        "--matrix": CHOICES,
        "--out": PLACES,
        "--jobs": COUNTS,
        "--launcher": CHOICES,
        "--seeds": COUNTS,
        "--fault": ("", "other", LONG, "\x1b"),
        "--timeout": FLOATS,
        "--device": CHOICES,
        "--ranks": COUNTS,
        "--accepted": FILES,
        "--envs": ENVIRONMENTS,
        "--pass-env": ("", "no such", "=", "\x1b", LONG),
        "--hosts": ("", "a", "a,a", "a,", "-a,b", "a b,c", "\x1b,b"),
        "--reach": ("", "ssh", "ssh {}"),  # without --hosts
        **CLUSTER,
    },
    "bisect": {
        "--scenario": (*SCENARIOS, "sft-*"),
        "--vary": ("", "a b", "\x1b"),
        "--repo": FOLDERS,
        "--good": (),  # a revision of --repo, which is asked of git: see CONFLICTS
        "--bad": (),
        "--from": ("", "other", "\x1b"),
        "--to": ("", "other", "\x1b"),
        "--cause": (),  # any text is one that may be found, or not
        "--patch": FILES,
        "--out": PLACES,
        "--jobs": COUNTS,
        "--timeout": FLOATS,
        "--envs": ENVIRONMENTS,
        "--pass-env": ("", "no such", "=", "\x1b", LONG),
        **CLUSTER,
    },
    "nightly": {
        "--dir": PLACES,
        "--only": RELEASES,
        "--scenario": SCENARIOS,
        "--jobs": COUNTS,
        "--timeout": FLOATS,
        "--accepted": FILES,
        "--canaries": FILES,
        "--ticket-command": ("", " ", "'"),
        "--summary": TARGETS,
        "--keep-days": FLOATS,
        "--keep-gib": FLOATS,
        "--envs": ENVIRONMENTS,
        "--pass-env": ("", "no such", "=", "\x1b", LONG),
        **CLUSTER,
    },
    "stock": {
        "--framework": NAMES,
        "--scenario": SCENARIOS,
        "--since": DATES,
        "--until": DATES,
        "--dir": PLACES,
        "--write": FILES,
        "--jobs": COUNTS,
        "--timeout": FLOATS,
        "--envs": (),  # nothing is built by this line
        "--pass-env": ("", "no such", "=", "\x1b", LONG),
    },
    "fuzz": {
        "--framework": RELEASES,
        "--out": PLACES,
        "--minutes": FLOATS,
        "--seed": ("", "inf", "nan", "-1", "1.5", "many", "0x10", "9" * 30),
        "--against": (*RELEASES, "torch"),
        "--corpus": PLACES,
        "--fault": ("", "other", LONG, "\x1b"),
        "--accepted": FILES,
        "--jobs": COUNTS,
        "--timeout": FLOATS,
        "--envs": ENVIRONMENTS,
        "--pass-env": ("", "no such", "=", "\x1b", LONG),
        **CLUSTER,
    },
    "relate": {
        "--framework": RELEASES,
        "--out": PLACES,
        "--relation": NAMES,
        "--scenario": SCENARIOS,
        "--fault": ("", "other", LONG, "\x1b"),
        "--jobs": COUNTS,
        "--timeout": FLOATS,
        "--envs": ENVIRONMENTS,
        "--pass-env": ("", "no such", "=", "\x1b", LONG),
    },
    "mismatch": {
        "--out": PLACES,
        "--engine": NAMES,
        "--dtype": CHOICES,
        "--scenario": SCENARIOS,
        "--rows": COUNTS,
        "--length": (*COUNTS, "513"),
        "--seed": ("", "inf", "nan", "-1", "1.5", "many", "9" * 30),
        "--jobs": COUNTS,
        "--timeout": FLOATS,
        "--envs": ENVIRONMENTS,
    },
    "mismatch-training": {"--seeds": COUNTS, "--steps": (*COUNTS, "9"), "--out": PLACES, "--jobs": COUNTS},
    "staircase": {
        "--framework": RELEASES,
        "--against": RELEASES,
        "--fix": (*FILES, "torch==", "torch==x"),
        "--fault": ("", "other", LONG, "\x1b"),
        "--hyper": ("", "lr", "lr=x", "lr=nan", "batch=3", "schedule=\x1b", LONG),
        "--seeds": COUNTS,
        "--steps": (*COUNTS, "3"),
        "--out": PLACES,
        "--jobs": COUNTS,
        "--timeout": FLOATS,
        "--envs": ENVIRONMENTS,
        "--pass-env": ("", "no such", "=", "\x1b", LONG),
    },
    "detect": {
        "--out": PLACES,
        "--matrix": CHOICES,
        "--fault": ("", "other", LONG, "\x1b"),
        "--bug": ("", "other", LONG, "\x1b"),
        "--clean": FOLDERS,
        "--minutes": FLOATS,
        "--jobs": COUNTS,
        "--timeout": FLOATS,
        "--envs": ENVIRONMENTS,
    },
    "judge": {"": FOLDERS, "--intent": FILES, "--like": SCENARIOS},
    "record": {
        "--out": PLACES,
        "--steps": ("", "x", "3-1", "-1", "1.5", "9" * 30, "\x1b"),
        "--every": COUNTS,
        **CLUSTER,
    },
    "seal": {"": FOLDERS},
    "validate": {
        "": ("", "other", "a b", LONG, "=", "learning_rate=fast", "\x1b=1"),
        "--with": FILES,
        "--versions": FILES,
        "--world": COUNTS,
        "--rows": COUNTS,
        "--data": (*FILES, "missing.json", "binary.json", "fifo.parquet"),
        "--out": PLACES,
        "--device": CHOICES,
        "--envs": ENVIRONMENTS,
        "--format": CHOICES,
        **CLUSTER,
    },
    "translate": {
        "": NAMES,  # a word too many
        "--method": CHOICES,
        "--ranks": COUNTS,
        "--out": PLACES,
        "--jobs": COUNTS,
        "--timeout": FLOATS,
        "--envs": ENVIRONMENTS,
        "--pass-env": ("", "no such", "=", "\x1b", LONG),
    },
    "objectives": {"": FOLDERS},
    "explain": {"": FOLDERS},
    "compare": {"": FOLDERS},
    "report": {"--format": CHOICES, "--out": TARGETS},
    "history": {
        "": NAMES,
        "--scenario": (),  # a pattern may fit nothing
        "--limit": INTEGERS,
        "--html": tuple(target for target in TARGETS if target != "loop"),  # which is replaced
    },
    "list": {"": CHOICES, "--framework": RELEASES, "--platform": CHOICES},
    "doctor": {"--envs": ()},  # which says what is wrong with it
    "env list": {"--envs": ENVIRONMENTS},
    "env build": {"--envs": ENVIRONMENTS, "": RELEASES},
    "env prune": {"--envs": ENVIRONMENTS, "--older-than": FLOATS, "": ("other", "", "../x", "\x1b", LONG)},
}
"""Values that are wrong, by command and option; "" is its argument."""


def lines() -> Iterator[tuple[str, ...]]:
    for command, options in VALUES.items():
        for option, values in options.items():
            for value in values:
                yield (*BASES[command], *([option] if option else []), value)
    for line in CONFLICTS:
        yield tuple("" if word == "''" else word for word in line.split(" "))


LINES = list(lines())


def spelled(line: Sequence[str]) -> str:
    return " ".join(ascii(word)[1:-1].replace(LONG, "LONG") for word in line)
