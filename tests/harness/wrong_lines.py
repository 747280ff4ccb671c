"""The table of wrong command lines: what each option of each command is given, and what does not go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

LONG = "x" * 300
"""More than a file's name may have."""

BASES: Mapping[str, Sequence[str]] = {
    "run": ["run", "--framework", "torch", "--scenario", "sft-equal", "--envs", "new/envs", "--out", "new/out"],
    "bisect": ["bisect", "torch", "--scenario", "sft-equal", "--envs", "new/envs", "--out", "new/out"],
    "nightly": ["nightly", "--only", "torch", "--dir", "new/nights", "--envs", "new/envs"],
    "stock": ["stock", "--framework", "trl", "--no-measure", "--dir", "new/stock", "--envs", "new/envs"],
    "fuzz": ["fuzz", "--framework", "torch", "--envs", "new/envs", "--out", "new/fuzz"],
    "relate": ["relate", "--framework", "torch", "--envs", "new/envs", "--out", "new/related"],
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

FLOATS = ("", "inf", "-inf", "nan", "-1", "1e999", "many", "1,5")
INTEGERS = ("", "inf", "nan", "-1", "0", "1.5", "many", "0x10")
COUNTS = (*INTEGERS, "9" * 30)
CHOICES = ("", "other", "\x1b[31mred", LONG)
NAMES = ("", "other", "tr\u202el", "\x1b]52;c;x\x07", LONG, "a b", "../torch", "torch==", "torch==1..0", "torch>=1")
RELEASES = (*NAMES, "torch==1,torch==2", "torch=1", "torch@", "torch@a\nb")
SCENARIOS = ("", "other", "\u202e", LONG, "sft-equal@", "sft-equal@-1", "sft-equal@x", "sft-equal@9999999999")
FILES = ("missing", ".", "/dev/null", "/dev/zero", LONG, f"{LONG}/x", "binary", "file/x", "loop", "fifo")
"""What is read."""
PLACES = ("file", "file/x", LONG, "/dev/null", "/dev/null/x", "/proc/new", "loop", "loop/x")
"""Where a folder cannot be."""
ENVIRONMENTS = tuple(place for place in PLACES if place != "/proc/new")  # a folder may be read-only
TARGETS = ("file/x", f"{LONG}/x", "/dev/null/x", "/proc/new", "loop", "run")
"""Where a file cannot be written."""
FOLDERS = ("missing", "file", LONG, f"{LONG}/x", "/dev/null", "/dev/null/x", "loop", "empty", "fifo", "/proc/new")
"""What is no run and no trace."""
DATES = ("", "today", "2025-13-01", "2025-1-1", "\x1b[m")

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

CONFLICTS = (
    "run --framework deepspeed --fault keep-first",
    "run --patch deepspeed-offload",
    "run --framework torch --patch missing --out file",
    "run --framework torch@/bin/true --patch diff",
    "run --resume --out run-damaged",
    "run --out other",
    "bisect",
    "bisect torch",
    "bisect torch --scenario sft-equal --vary torch",
    "bisect torch --scenario sft-equal --by-date",
    "bisect torch --scenario sft-equal --by-date --from x --to y",
    "bisect torch --scenario sft-equal --repo . --by-date",
    "bisect torch --scenario sft-equal --repo . --vary numpy",
    "bisect torch --scenario sft-equal --repo . --good x",
    "bisect torch --scenario sft-equal --good x",
    "bisect torch --scenario sft-equal --out other",
    "fuzz",
    "fuzz --framework torch",
    "fuzz --out new/fuzz",
    "fuzz --framework torch --out run",
    "fuzz --framework deepspeed --fault keep-first --out new/fuzz",
    "relate",
    "relate --framework torch",
    "relate --out new/related",
    "relate --framework torch --out other",
    "relate --framework deepspeed --fault keep-first --out new/related",
    "staircase",
    "staircase --framework torch --out new/stairs",
    "staircase --framework torch --fault drop-intermediate",
    "staircase --framework torch --fault drop-intermediate --out other",
    "staircase --framework torch --fault drop-intermediate --fault drop-intermediate --out new/stairs",
    "staircase --framework torch --fault drop-intermediate --fix openrlhf-loss --out new/stairs",
    "staircase --framework deepspeed --fault drop-intermediate --out new/stairs",
    "mismatch-training",
    "mismatch-training --out other",
    "mismatch-training --out run",
    "mismatch-training --out new/policies surplus",
    "detect",
    "detect --out run",
    "detect --matrix smoke",
    "nightly --only torch==1,numpy==2",
    "stock --since 2030-01-01 --until x",
    "judge run --write --json --frobnicate",
    "judge trace-of-nothing",
    "judge run --intent missing",
    "judge run --intent binary",
    "judge run --intent fifo",
    "judge run --like other",
    "judge run --describe --like sft-ragged",
    "run --on slurm --framework torch --srun container",
    "run --on slurm --framework torch --srun --a;b=1",
    "run --on slurm --framework torch --sbatch ''",
    "run --on slurm --framework torch --prolog a\nb",
    "run --on slurm --framework torch --partition ''",
    "run --on slurm --framework torch --out 100%",
    "bisect torch --scenario sft-equal --on slurm --sbatch ''",
    "nightly --only torch --dir 100% --on slurm",
    "nightly --only torch --dir new/nights --on slurm --nnodes 2",
    "record --on slurm --nodes 2 --out new/recording true",
    "validate sft.yaml --on slurm",
    "validate sft.yaml --on slurm --plan",
    "validate sft.yaml --on slurm --out new/out --nnodes 2",
    "fuzz --framework torch --out new/fuzz --on slurm --envs local",
    "fuzz --framework torch --out new/fuzz --on slurm --srun container",
    "judge run --describe --write",
    "judge recording-damaged",
    "judge recording-damaged run",
    "judge recording-damaged --describe",
    "record true",
    "record --out new/recording",
    "record --out run true",
    "record --out new/recording missing-command",
    "record --out new/recording true",
    "validate",
    "validate sft.yaml --plan --out new",
    "validate sft.yaml --out run",
    "validate --plan",
    "validate --plan missing.yaml",
    "validate --plan binary.yaml",
    "validate --plan fifo",
    "validate --plan echo hi",
    "validate --plan bash missing",
    "validate --plan bash file",
    "validate --plan bash binary",
    "validate --plan torchrun",
    "validate --plan llamafactory-cli train missing.yaml",
    "validate --plan --capture",
    "validate --plan --capture sft.yaml",
    "validate --plan --capture echo hi",
    "validate --plan --capture missing-command",
    "validate --plan --capture bash missing.sh",
    "validate --plan --capture bash binary",
    "validate --plan --capture python -c 1",
    "judge run-damaged",
    "judge run-damaged --write",
    "explain run other",
    "explain run ''",
    "explain run-damaged",
    "explain run-empty",
    "compare run run",
    "compare run",
    "report run --traces --format junit",
    "report run --format html --out -",
    "report run --format wandb --out -",
    "report run --format tensorboard --out -",
    "report run --format tensorboard --out other",
    "report run --out .",
    "report run --format junit --out run/verdict.json",
    "report run-damaged",
    "history --html - --json",
    "history --html - --limit 3",
    "history torch==1",
    "list scenarios --markdown",
    "list",
    "list planets",
    "list fixes --platform cpu",
    "list scenarios --framework torch",
    "list platforms --framework torch@x",
    "--site missing list fixes",
    "--site . list fixes",
    "--site binary list fixes",
    "--site fifo list fixes",
    "--site file doctor",
    "--site",
    "list --site file",
    "env frobnicate",
    "env prune",
    "env prune --all x",
    "frobnicate",
    "--frobnicate",
    "run surplus",
    "doctor surplus",
    "--version=3",
)


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
