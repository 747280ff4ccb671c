"""A configuration from its words to a verdict: environment, tiny model, small runs, and what they are held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.contract import Shim
from harness.environments import build, request
from harness.environments.environment import Environment
from harness.environments.request import Request
from harness.launch import built
from harness.traces.text_files import UnreadableTrace
from harness.validation import plan
from harness.validation.found import causes, judging, recovered, vocabulary
from harness.validation.found.judging import Judged
from harness.validation.known import releases
from harness.validation.known.ledger import RANKS
from harness.validation.known.options import Options
from harness.validation.known.pins import Pins
from harness.validation.known.releases import Release
from harness.validation.read import first_rows, redaction
from harness.validation.read.bounded import BadConfiguration
from harness.validation.read.configuration import Configuration, truth
from harness.validation.readers.families import READERS
from harness.validation.record import FindingRecord, KeyRecord, Outcome, Plan, RunRecord, ShimRecord, Validation
from harness.validation.small import model, running
from harness.validation.small.kept import Kept, keep, needed
from harness.validation.small.makers import MAKERS
from harness.validation.small.model import Described
from harness.validation.small.place import Place
from harness.validation.small.running import Do, NoModel, NotRun, Ran
from harness.validation.small.runs import Run

Note = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """What is to be validated, and where."""

    configuration: Configuration
    pinned: Pins
    rows: int | None
    near: Path
    """Folder of the configuration."""
    envs: Path
    out: Path
    """An empty folder for what runs leave, as a whole path."""
    command: str
    do: Do = running.here
    """Where it is done."""
    builds: Path | None = None
    """Folder in which the environment is built where it is done; None: it is in `envs`, which that place sees."""


def validate(wish: Wish, note: Note) -> Validation:
    """note gets a line for each thing that takes long. Raises BadConfiguration, BadRequest and BuildFailed."""
    planned = plan.made(wish.configuration, wish.pinned, wish.rows)
    if planned.refused:
        return _not_run(wish, planned)
    _, release, _ = plan.step(wish.configuration, wish.pinned.versions, wish.rows)
    if release is None:
        release = releases.best(plan.TRAINER, keep(wish.configuration, None).values)
    kept = keep(wish.configuration, release)
    asked = beside(requested(MAKERS[wish.configuration.family].framework, release, wish), kept, wish, note)
    note(f"environment of {asked}")
    environment = _environment(asked, wish, note)
    packages = dict(line.split("==", 1) for line in environment.lock if "==" in line)
    wish = replace(wish, configuration=_with_rows(wish, environment))
    planned = plan.made(wish.configuration, wish.pinned, wish.rows, packages)
    step, release, _ = plan.step(wish.configuration, wish.pinned.versions, wish.rows, packages)
    wish = replace(wish, configuration=plan.with_preset(wish.configuration, release))
    if wish.configuration.machine.cuda and (seen := wish.do(running.devices, environment)) < RANKS:
        return _not_run(wish, planned, f"--device cuda: each of {RANKS} ranks needs a device, and torch sees {seen}")
    note(MODEL)
    described = model.describe(wish.configuration, wish.near)
    if wish.configuration.family == "trl":
        marked = truth(wish.configuration.value("assistant_only_loss"))
        described = model.templated(described, wish.configuration.value("chat_template"), marked)
        described = model.ending(described, wish.configuration.value("eos_token"))
    try:
        described = _checkpoint(environment, described, wish)
    except NotRun as error:
        return _not_run(wish, planned, str(error))
    kept = keep(wish.configuration, release)
    if release is None:  # axolotl's arguments are taken over by the Trainer
        kept = replace(kept, release=releases.nearest(plan.TRAINER, packages[plan.TRAINER]))
    done = [_one(run, kept, environment, wish, note) for run in plan.small_runs(wish.configuration, step)]
    judged = [one.judged for one in done if one.judged is not None]
    named = READERS[wish.configuration.family].names(wish.configuration)
    own = {**packages, environment.framework: environment.version}
    options = Options(wish.configuration, release, named)
    where = causes.where(environment.framework, own, step, options, described.model_type)
    findings = [
        FindingRecord(code=f.code, message=redaction.line(f.message), run=one.run.name)
        for one in judged
        for f in one.told.findings
    ]
    return Validation(
        plan=planned.model_copy(
            update={
                "step": recovered.beside(planned.step, judged),
                "odd": [*planned.odd, *map(redaction.line, recovered.odd(judged))],
            }
        ),
        outcome=_outcome(findings, done),
        not_covered=_not_covered(planned, described, done),
        findings=findings,
        causes=causes.causes(judged, where),
        runs=[one.record for one in done],
        model=described.said,
        environment=str(asked.resolved()),
        packages={name: packages[name] for name in sorted(packages) if name in TOLD},
        device=wish.configuration.machine.device,
        shims=[ShimRecord(name=shim.name, reason=shim.reason) for shim in _shims(done)],
        command=wish.command,
    )


def _environment(asked: Request, wish: Wish, note: Note) -> Environment:
    """Raises as `build.ensure` does, and what `wish.do` raises."""
    if wish.builds is None or asked.python is not None:
        return build.ensure(asked, wish.envs, note)
    order = build.order(asked, wish.envs, wish.builds, note)
    wish.do(built.make, order)
    return build.foreseen(order)


def _with_rows(wish: Wish, environment: Environment) -> Configuration:
    """With the rows of a Parquet file, if there is one. Raises BadConfiguration."""
    data = wish.configuration.data
    if data is None or data.rows is not None:
        return wish.configuration
    lines = running.parquet(environment, data.path, first_rows.MOST, wish.out, wish.do)
    found = tuple(first_rows.checked(data.path, n, row) for n, row in enumerate(first_rows.read(lines), 1))
    return replace(wish.configuration, data=replace(data, rows=found))


TOLD = frozenset({
    "accelerate", "bitsandbytes", "datasets", "deepspeed", "liger-kernel", "llamafactory", "ms-swift", "openrlhf",
    "peft", "tokenizers", "torch", "transformers", "trl", "verl",
})  # fmt: skip
"""Packages whose versions are told."""
MODEL = "a tiny model and its tokenizer"
UNDER = ("accelerate", "deepspeed", "peft", "transformers")
"""Packages that may be pinned beneath a framework."""


def requested(framework: str, release: Release | None, wish: Wish) -> Request:
    """The environment: the framework's release, and those packages underneath that are pinned. Raises BadRequest."""
    package = None if release is None else release.package.partition("/")[0]
    own = release.version if release is not None and package == framework else None
    version = wish.pinned.versions.get(framework) or own
    text = f"{framework}=={version}" if version else framework
    # under a plain Trainer, transformers is that whose options were read
    below = {package: release.version} if release is not None and package in UNDER else {}
    pins = {**below, **{name: wish.pinned.versions[name] for name in UNDER if name in wish.pinned.versions}}
    return request.parse(",".join([text, *(f"{name}=={version}" for name, version in pins.items())])).resolved()


def beside(asked: Request, kept: Kept, wish: Wish, note: Note) -> Request:
    """The same with what the configuration's options need. Raises as `build.versions` does."""
    if not needed(kept):
        return asked
    found = needed(kept, build.versions(asked, wish.envs, note).get(plan.TRAINER))
    pinned = {name: wish.pinned.versions.get(name, version) for name, version in found.items()}
    return replace(asked, overrides=tuple(sorted({**dict(asked.overrides), **pinned}.items())))


@dataclass(frozen=True)
class _Done:
    """A small run, and what became of it."""

    record: RunRecord
    judged: Judged | None = None
    ran: Ran | None = None


def _one(run: Run, kept: Kept, environment: Environment, wish: Wish, note: Note) -> _Done:
    maker = MAKERS[wish.configuration.family]
    place = Place((wish.out / run.name).absolute(), (wish.out / "model").absolute())
    place.here.mkdir()
    note(run.says)
    told = {"name": run.name, "says": run.says, "steps": [], "sentences": [], "unknown": [], "open": []}
    try:
        ran = running.run(environment, maker.small(kept.of(run), run, place), place, wish.do)
        note(f"judging {run.name}")
        words = vocabulary.read(place.model, place.here)
        judged = judging.judge(run, ran.recording, plan.packs(kept.configuration), words)
    except (NotRun, UnreadableTrace, ValueError, BadConfiguration) as error:
        return _Done(RunRecord.model_validate({**told, "reason": redaction.line(str(error))}))
    found = {
        "steps": list(ran.made.steps),
        "sentences": list(judged.told.sentences),
        "unknown": [*ran.made.ended, *judged.told.unknown],
        "open": list(judged.told.open),
    }
    return _Done(RunRecord.model_validate({**told, **found}), judged, ran)


def _checkpoint(environment: Environment, described: Described, wish: Wish) -> Described:
    """Made in `wish.out`, of a Llama where the environment knows no such architecture. Raises NotRun."""
    model_folder, log = wish.out / "model", wish.out / "log-model.txt"
    try:
        running.checkpoint(environment, described.dumps(), model_folder, log, wish.do)
    except NoModel:
        described = model.as_llama(
            described, f"{environment.framework} {environment.version} knows no {described.model_type}"
        )
        running.checkpoint(environment, described.dumps(), model_folder, log, wish.do)
    return described


def _outcome(findings: Sequence[FindingRecord], done: Sequence[_Done]) -> Outcome:
    if findings:
        return "fail"
    whole = done and all(one.judged is not None and not one.record.unknown for one in done)
    return "pass" if whole else "unknown"


def _shims(done: Sequence[_Done]) -> list[Shim]:
    return list(dict.fromkeys(shim for one in done if one.ran is not None for shim in one.ran.shims))


def _not_covered(planned: Plan, described: Described, done: Sequence[_Done]) -> list[str]:
    left = ("not covered", "unknown to this release")
    keys = [f"{row.key} = {row.value}{_why(row)}" for row in planned.ledger if row.word in left]
    swapped = [f"{row.key} = {row.value}{_why(row)}" for row in planned.ledger if row.word == "swapped"]
    told = [said for one in done for said in one.record.open]
    missing = [f"not given: {said}" for said in planned.missing]
    return list(dict.fromkeys([*planned.not_covered, *described.not_covered, *missing, *swapped, *keys, *told]))


def _why(row: KeyRecord) -> str:
    why = row.why or row.to
    return f": {why}" if why else ""


def _not_run(wish: Wish, planned: Plan, reason: str | None = None) -> Validation:
    """Where the framework would not start, or nothing runs for the reason given."""
    told = {"name": "none", "says": "before any run", "steps": [], "sentences": [], "unknown": [], "open": []}
    runs = [] if reason is None else [RunRecord.model_validate({**told, "reason": redaction.line(reason)})]
    return Validation(
        plan=planned,
        outcome="fail" if planned.refused else "unknown",
        not_covered=[],
        findings=[],
        causes=[],
        runs=runs,
        model=None,
        environment=None,
        packages={},
        shims=[],
        command=wish.command,
    )
