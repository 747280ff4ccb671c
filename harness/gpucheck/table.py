"""What `make gpu-check` found, as Markdown: a table for docs/gpu.md, and what has to be known beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness import printable
from harness.gpucheck.deviations import WORDS
from harness.gpucheck.running import Result
from harness.judging.devices import Measured
from harness.oracle.floor import MARGIN

LONGEST = 400
"""Characters of what is said of a part."""


def page(
    about: Mapping[str, str], results: Sequence[Result], floors: Mapping[str, Measured], seconds: float, device: str
) -> str:
    """All of it. `device`: cpu or cuda."""
    where = "on CUDA" if device == "cuda" else "on a CPU, to try the way: nothing is shown of CUDA"
    lines = [f"# GPU check {where}", "", *(f"- {name}: {said}" for name, said in about.items()), ""]
    lines += [*table(results, device), "", f"{seconds:.0f} s in all.", ""]
    for precision, one in floors.items():
        lines += [f"## Right cells in floors, {precision}, {one.cells} cells", ""]
        lines += [f"A floor is simulated on a CPU; {MARGIN:g} are allowed.", ""]
        lines += ["| quantity | floor (median) | largest, in floors |", "|---|---|---|"]
        lines += [f"| {WORDS[name]} | {one.floor[name]:.1e} | {one.largest[name]:.2f} |" for name in one.floor]
        lines.append("")
    return "\n".join(lines)


def table(results: Sequence[Result], device: str) -> list[str]:
    """A line for each part."""
    of = "of the device" if device == "cuda" else "of the machine"
    lines = [f"| part | what | verdict | seconds | peak memory {of} | said |", "|---|---|---|---|---|---|"]
    for one in results:
        row = [one.part, one.what, one.outcome, f"{one.seconds:.0f}", memory(one.peak), one.says]
        lines.append("| " + " | ".join(_cell(text) for text in row) + " |")
    return lines


def memory(peak: int | None) -> str:
    """Bytes as a person reads them."""
    if peak is None:
        return "not told"
    return f"{peak / 2**30:.1f} GiB" if peak >= 2**30 else f"{peak / 2**20:.0f} MiB"


def _cell(text: str) -> str:
    return printable.line(text, LONGEST).replace("|", "\\|")
