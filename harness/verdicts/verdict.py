"""`verdict.json`: the outcome of a run, cell by cell. The only thing that reports read, besides traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from adapters.contract import encode_float
from harness import files
from harness.verdicts.findings import UNKNOWN_CODES, Diagnosis, Finding

SCHEMA = 1
FILE = "verdict.json"
MAX_BYTES = 16 * 2**20
"""A cell takes 1,400 bytes in the mean of a run of everything, one with many findings 6,000."""

T = TypeVar("T")


class _First(FailFast):
    """A list that is wrong is told by its first fault: a million of them must not become a million complaints."""

    __hash__ = object.__hash__  # so that it may be part of a union


Many = Annotated[list[T], _First()]


def _few(summary: object) -> object:
    if isinstance(summary, dict) and len(summary) > len(get_args(Outcome)) + len(OUTCOMES_OF_OLD):
        raise ValueError("counts more outcomes than there are")
    return summary


Outcome = Literal["pass", "fail", "accepted", "unknown", "unsupported"]

OUTCOMES_OF_OLD = {"known": "accepted"}


def _outcome(value: object) -> object:
    return OUTCOMES_OF_OLD.get(value, value) if isinstance(value, str) else value


ReadOutcome = Annotated[Outcome, BeforeValidator(_outcome)]
"""An outcome as it was written by this release or by an older one, which said `known` of what is accepted."""


class UnreadableVerdict(Exception):
    """`verdict.json` is missing, truncated, or of a schema this release does not read."""


def label(scenario: str, seed: int) -> str:
    """The scenario, with `@SEED` where the seed is not 0."""
    return f"{scenario}@{seed}" if seed else scenario


def _whole(value: object) -> object:
    if isinstance(value, str) and not value.isascii():
        return value.encode(errors="backslashreplace").decode()
    return value


class _Record(BaseModel):
    """Whatever its texts came from, they can be written: half of a character becomes its name, such as `\\udc80`."""

    @field_validator("*", mode="before")
    @classmethod
    def _whole_characters(cls, value: object) -> object:
        if isinstance(value, list):
            return [_whole(each) for each in value]
        return _whole(value)


class FindingRecord(_Record):
    """A `harness.verdicts.findings.Finding`; its `detail` stands flat beside the other fields."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str
    step: int | None = None
    rank: int | None = None
    micro_batch: int | None = None
    tensor: str | None = None
    observed: float | str | None = None
    expected: float | str | None = None
    tolerance: float | None = None
    tolerance_source: str | None = None


class DiagnosisRecord(_Record):
    """A `harness.verdicts.findings.Diagnosis`."""

    cause: str
    summary: str
    explains: Annotated[float, Field(ge=-1e-6, le=1 + 1e-6, allow_inf_nan=False)]
    """Share of the deviation, 0 to 1 but for rounding."""
    codes: Many[str]
    evidence: str
    upstream: str | None = None
    remedy: str | None = None
    kind: str = ""
    """The cause alone in what older releases have written."""

    @model_validator(mode="after")
    def _at_least_the_cause(self) -> Self:
        self.kind = self.kind or self.cause
        return self


def _inside(trace: str | None) -> str | None:
    """A verdict may come from elsewhere: it names no path outside its own folder."""
    if trace is not None and (PurePosixPath(trace).is_absolute() or ".." in PurePosixPath(trace).parts):
        raise ValueError(f"the trace {trace!r} lies outside the run's folder")
    return trace


class CellRecord(_Record):
    """One framework release on one scenario."""

    framework: str
    version: str
    scenario: str
    seed: int = 0
    verdict: ReadOutcome
    reason: str | None = None
    """One line for `unknown` and `unsupported`."""
    findings: Many[FindingRecord] = Field(default_factory=list)
    diagnoses: Many[DiagnosisRecord] = Field(default_factory=list)
    open: Many[str] | None = None
    """What could not be asked of it: keys of `harness.verdicts.questions.OPEN`. None where everything was."""
    trace: Annotated[str | None, AfterValidator(_inside)] = None
    """Folder of the trace, relative to `verdict.json` and inside its folder."""
    seconds: float | None = None
    command: str | None = None
    """The command that reproduces this cell."""
    environment: str | None = None
    """`lock_hash` of the environment that it ran in; None if that could not be had, and for an interpreter of the
    user's own, whose packages may be edited in place."""
    scenario_hash: str | None = None
    """`Scenario.hash` of the scenario as it was run."""
    described: Many[str] | None = None
    """Sentences about a run whose intent nobody has said: what its steps were."""
    harness: str | None = None
    """`harness.history.identity` of what ran and judged it; None where these were two, or an older release did."""

    @property
    def label(self) -> str:
        """The scenario, with `@SEED` where the seed is not 0."""
        return label(self.scenario, self.seed)

    @property
    def name(self) -> str:
        """`FRAMEWORK==VERSION/LABEL`; unique within a run."""
        return f"{self.framework}=={self.version}/{self.label}"


Side = Literal["right", "wrong", "fed otherwise", "unjudged"]


class GroupRecord(BaseModel):
    """Runs of one scenario that made the same update."""

    members: Many[str]
    """Names of cells."""
    votes: int
    """Families of frameworks among them: what shares its training loop is not independent."""
    side: Side
    """What the oracle says of the update: right, wrong, or made from other inputs than the scenario's."""


class DistanceRecord(BaseModel):
    """How far two groups are apart."""

    first: int
    second: int
    """Indices into the groups."""
    parted: int
    """The first step at which they differ; -1 if they do not even hold the same tensors."""
    gradient: float
    """L2 distance at that step of the gradients that the optimizers consumed, relative to the longer one."""
    parameters: float
    """L2 distance of the parameters after the last step."""
    drift: float
    """The same, over the distance that the parameters have moved."""

    model_config = ConfigDict(ser_json_inf_nan="strings")


class RowRecord(BaseModel):
    """What one row's tokens weighed in each group, where groups differ."""

    step: int
    row: int
    spans: Many[Many[tuple[int, int, float]] | None]
    """For each group: first and last position and weight x N of each stretch of equally weighted tokens; stretches
    without weight are left out. None where the group's weights are not known, or it did not train on the row."""


class ViewRecord(BaseModel):
    """One scenario across frameworks."""

    scenario: str
    seed: int = 0
    groups: Many[GroupRecord] = Field(default_factory=list)
    """Most votes first."""
    reason: str | None = None
    """Why there are none."""
    majority: int | None = None
    """The group that most frameworks are in; None where the vote is even, or nobody agrees."""
    distances: Many[DistanceRecord] = Field(default_factory=list)
    rows: Many[RowRecord] = Field(default_factory=list)
    inputs: Many[Many[str]] = Field(default_factory=list)
    """Cells that were fed the same tokens, masks and positions in every global batch, as far as each shows; those of
    most families of frameworks first."""
    inputs_majority: int | None = None
    """The set of `inputs` that most families of frameworks were fed; None where all were fed the same, the vote is
    even, or nobody agrees."""
    masks_unseen: Many[str] = Field(default_factory=list)
    """Cells whose models were handed no loss mask: theirs is in no comparison of inputs."""
    left_out: Many[str] = Field(default_factory=list)
    """Cells whose traces do not hold every step."""
    weights_untold: Many[str] = Field(default_factory=list)
    """Cells whose tokens' weights mean nothing, as much of the gradient comes from elsewhere, and are not in `rows`."""

    @property
    def label(self) -> str:
        """As of its cells."""
        return label(self.scenario, self.seed)


class Verdict(BaseModel):
    """A whole run."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    lockstep: str = ""
    """Version of this harness."""
    cells: Many[CellRecord] = Field(default_factory=list)
    views: Many[ViewRecord] = Field(default_factory=list)
    """Scenarios that more than one framework ran, once the run is complete."""
    summary: Annotated[dict[str, int], BeforeValidator(_few)] = Field(default_factory=dict)
    """Cells by verdict."""
    complete: bool = False
    """False while the run goes on, and for ever if it was interrupted."""

    model_config = ConfigDict(populate_by_name=True)


def record_finding(finding: Finding) -> FindingRecord:
    fields: dict[str, Any] = {k: v for k, v in vars(finding).items() if k != "detail"}
    for key in ("observed", "expected"):
        if isinstance(fields[key], float):
            fields[key] = encode_float(fields[key])
    return FindingRecord(**fields, **finding.detail)


def record_diagnosis(diagnosis: Diagnosis) -> DiagnosisRecord:
    return DiagnosisRecord(**{**vars(diagnosis), "codes": list(diagnosis.codes)})


def outcome(findings: Sequence[Finding]) -> Outcome:
    """`unknown` if something could not be checked, else `fail` if anything was found, else `pass`.

    A cell with proven findings stays `fail` even if some other check could not run.
    """
    if any(f.code not in UNKNOWN_CODES for f in findings):
        return "fail"
    return "unknown" if findings else "pass"


def exit_status(cells: Iterable[CellRecord]) -> int:
    """0 all pass, known or unsupported; 1 a divergence; 3 something unknown, or nothing was measured at all."""
    verdicts = {cell.verdict for cell in cells}
    if "fail" in verdicts:
        return 1
    if "unknown" in verdicts or not verdicts & {"pass", "accepted"}:
        return 3
    return 0


def write(verdict: Verdict, folder: Path) -> Path:
    """Write `folder/verdict.json` in one atomic replacement, its summary counted anew; returns its path."""
    counted = verdict.model_copy(update={"summary": dict(Counter(c.verdict for c in verdict.cells))})
    path = folder / FILE
    files.replace(path, counted.model_dump_json(by_alias=True, indent=1, exclude_none=True) + "\n")
    return path


def read(folder: Path) -> Verdict:
    """Read `folder/verdict.json`. Raises UnreadableVerdict with a one-line reason and what to do."""
    path = folder / FILE
    try:
        return Verdict.model_validate_json(files.read(path, MAX_BYTES, follow=False))
    except FileNotFoundError:
        raise UnreadableVerdict(f"{folder} has no {FILE}; give the --out folder of a `lockstep run`") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise UnreadableVerdict(f"{path} cannot be read ({_one_line(what)}); run the cells again") from None
    except OSError as error:
        raise UnreadableVerdict(f"{path} cannot be read ({error.strerror}); run the cells again") from None


def _one_line(text: str) -> str:
    return ascii(" ".join(text.split())[:200])[1:-1]
