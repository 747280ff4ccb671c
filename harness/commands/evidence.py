"""The whole evidence for one cell, as tables. The words above it come from `reports.terminal`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.traces.recovered_numbers import weights_tell
from harness.verdicts.questions import OPEN
from reports import words

if TYPE_CHECKING:
    from harness.judging.evidence import StepEvidence
    from harness.judging.token_weights import RowWeight
    from harness.traces.text_files import Header

MARK = "<- wrong"
LEFT_OUT = "left out"


def show(steps: Sequence[StepEvidence], console: Console) -> None:
    """What every step was found to be: weights, then norms, losses and the update rule."""
    for step in steps:
        _weights(step, console)
    if steps:
        _numbers(steps, console)
        _updates(steps, console)


def left_open(questions: Sequence[str], console: Console) -> None:
    """What could not be asked of the run, in words."""
    if not questions:
        return
    _title("What could not be asked", console)
    for question in questions:
        _line(f"{question}: {OPEN[question]}", console)
    console.print()


def ran(header: Header, console: Console) -> None:
    """What ran, where, and what had to be changed in it."""
    fault = f", with the planted fault {header.fault}" if header.fault else ""
    _title("What ran", console)
    _line(f"{header.framework} {header.version} through {header.adapter}, {header.ranks} ranks{fault}", console)
    _line(f"scenario hash {header.scenario_hash}; started {header.started}", console)
    hardware = ", ".join(f"{k} {v}" for k, v in header.hardware.items() if v is not None)
    _line(f"Python {header.python}; {hardware}", console)
    _line("packages: " + ", ".join(f"{n}=={v}" for n, v in header.packages.items()), console)
    if not header.shims:
        _line("shims: none, the framework ran as it is", console)
    for shim in header.shims:
        _line(f"shim {shim.get('name', '?')}: {shim.get('reason', '?')}", console)
    console.print()


def took(trace: Path, ranks: int, console: Console) -> None:
    """The most memory of each rank; nothing where an older release recorded it, or where it cannot be read."""
    from harness.traces import text_files

    lines: list[str] = []
    for rank in range(ranks):
        with contextlib.suppress(text_files.UnreadableTrace):
            if steps := text_files.memory(trace, rank):
                device = max(step.reserved or 0 for step in steps)
                own = f"{mebibytes(device)} of the device, " if device else ""
                lines.append(f"rank {rank}: {own}{mebibytes(max(step.resident for step in steps))} of the machine")
    if lines:
        _title("Memory at most", console)
        for line in lines:
            _line(line, console)
        console.print()


def mebibytes(size: int) -> str:
    """Bytes as a person reads them."""
    return f"{size / 2**20:,.0f} MiB"


def logs(trace: Path, console: Console) -> None:
    """The last lines of what each rank printed: why a run did not end by itself."""
    from harness.traces import text_files

    for tail in text_files.tails(trace):
        _title(f"The last {len(tail.lines)} lines of {tail.name}", console)
        for line in tail.lines:
            _line(line, console)
        console.print()


# ---- weights


def _weights(step: StepEvidence, console: Console) -> None:
    _title(f"Step {step.step}: what each token weighed, x N", console)
    allowed = step.floor.tolerance("residual")
    if not weights_tell(step.residual, allowed):
        for line in (
            f"cannot be told: {words.FOREIGN}",
            f"share of the gradient that the tokens do not explain: {step.residual:.1e} (allowed {allowed:.1e}) {MARK}",
            f"condition number of the tokens' gradients: {step.condition:.3g}",
        ):
            _line(line, console)
        console.print()
        return
    allowed = step.floor.tolerance("row") * step.right.largest
    table = _table("micro-batch", "rank", "row", "tokens", "weight x N", "right", "spread", "")
    for row in sorted(step.tokens.rows, key=lambda r: (r.micro_batch, r.rank)):
        wrong = not abs(row.weight - row.expected) <= allowed
        table.add_row(*_row(row), MARK if wrong else "", style="red" if wrong else "")
    _print(table, console)
    prompt = step.tokens.outside
    outside = MARK if not prompt <= step.floor.tolerance("token") * step.right.largest else "right is 0"
    residual = MARK if not step.residual <= step.floor.tolerance("residual") else "not more than rounding leaves"
    for line in (
        f"N = {step.right.targets} trained tokens; right is the clip coefficient",
        f"allowed: {allowed:.1e}, which is {_multiple(step)} the noise floor of this step",
        f"largest weight x N of any other token: {prompt:.1e} ({outside})",
        f"share of the gradient that the tokens do not explain: {step.residual:.1e} ({residual})",
        f"condition number of the tokens' gradients: {step.condition:.3g}",
        *_untold(step),
    ):
        _line(line, console)
    console.print()


def _untold(step: StepEvidence) -> list[str]:
    """Tokens of which nothing is known, if there are any."""
    unknown = int((~step.tokens.told).sum())
    every = len(step.right.slots)
    return [f"unknown: {unknown} of {every} tokens, whose gradients are too short to tell"] * bool(unknown)


def _row(row: RowWeight) -> tuple[str, ...]:
    return (
        str(row.micro_batch),
        str(row.rank),
        "foreign" if row.row is None else str(row.row),
        str(row.trained),
        f"{round(row.weight, 6) + 0.0:.6f}",  # + 0.0: no minus zero
        f"{row.expected:.6f}",
        f"{row.spread:.1e}",
    )


def _multiple(step: StepEvidence) -> str:
    return f"{step.floor.tolerance('row') / step.floor.row:.3g} x"


# ---- norms, losses, learning rates


def _numbers(steps: Sequence[StepEvidence], console: Console) -> None:
    _title("Norms and losses", console)
    table = _table("", *(f"step {s.step}" for s in steps))
    reported = [s.recorded.reported for s in steps]
    lines: tuple[tuple[str, Iterable[float | None]], ...] = (
        ("loss, right", (s.loss_right for s in steps)),
        ("loss, reported", (r.loss for r in reported)),
        ("gradient norm, right", (s.norm_right for s in steps)),
        ("gradient norm, reported", (r.grad_norm for r in reported)),
        ("clip coefficient, right", (s.clip_expected for s in steps)),
        ("norm after clipping, right", (s.norm_right * s.clip_expected for s in steps)),
        ("norm that reached the optimizer", (s.norm_used for s in steps)),
        ("learning rate, right", (s.scheduled_rate for s in steps)),
        ("learning rate, reported", (r.learning_rate for r in reported)),
    )
    for name, values in lines:
        table.add_row(name, *("-" if v is None else f"{v:.6g}" for v in values))
    table.columns[0].justify = "left"
    _print(table, console)
    console.print()


# ---- the update rule


def _updates(steps: Sequence[StepEvidence], console: Console) -> None:
    _title("The update rule, recovered from the parameters and the moments", console)
    table = _table("step", "tensors", "learning rate", "right", "weight decay", "right", "")
    for step in steps:
        for kinds, names in _rules(step).items():
            table.add_row(str(step.step), _some(names, len(step.recorded.states)), *kinds)
    table.columns[1].justify = "left"
    table.columns[1].no_wrap = False
    _print(table, console)
    console.print()


def _rules(step: StepEvidence) -> dict[tuple[str, ...], list[str]]:
    """Tensors by what they were updated with, rounded for reading; those that agree stand together."""
    groups: dict[tuple[str, ...], list[str]] = {}
    rates = step.floor.tolerance("learning_rate")
    for update in step.update.shown:
        rate, decay = step.expected_learning_rate(update.tensor), step.expected_decay(update.tensor)
        if math.isinf(update.rate_error):  # nothing tells it, as of an expert that no token is routed to
            out = LEFT_OUT if update.tensor in step.left_out else ""
            groups.setdefault(("-", _short(rate), "-", _short(decay, 4), out), []).append(update.tensor)
            continue
        wrong = not abs(update.learning_rate - rate) <= rates * rate
        wrong = wrong or not abs(update.weight_decay - decay) <= step.floor.tolerance("decay")
        shown = (_short(update.learning_rate), _short(rate), _short(update.weight_decay, 4), _short(decay, 4))
        groups.setdefault((*shown, MARK if wrong else ""), []).append(update.tensor)
    return groups


def _short(value: float, decimals: int = 7) -> str:
    return f"{round(value, decimals) + 0.0:.4g}"  # + 0.0: no minus zero


def _some(names: list[str], of: int) -> str:
    if len(names) == of:
        return f"all {of}"
    shown = ", ".join(name.removeprefix("model.") for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


# ---- drawing


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, justify="left" if name == "" else "right")
    return table


def _print(table: Table, console: Console) -> None:
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


def _title(text: str, console: Console) -> None:
    console.print(Text(text, "bold"))


def _line(text: str, console: Console) -> None:
    console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))
