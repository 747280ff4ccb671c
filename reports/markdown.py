"""A verdict in Markdown: a page for the summary of a CI job, which takes 1 MiB, so that the worst comes first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO

from rich.console import Console

from harness import printable
from harness.verdicts.verdict import CellRecord, Outcome, Verdict, ViewRecord
from reports import across, said, words

LIMIT = 1_000_000
"""Most bytes of a page. GitHub drops a summary of more than 1 MiB as a whole."""
MATRIX_LIMIT = LIMIT // 4
VIEWS_LIMIT = LIMIT // 4
CLOSING = 1000
"""Bytes that are kept free for the lines that say what is left out."""
WIDTH = 120

SIGNS: dict[Outcome, str] = {"fail": "❌", "unknown": "❔", "accepted": "🟣", "pass": "✅", "unsupported": "⚪"}


@dataclass(frozen=True)
class Section:
    """What is said of some cells."""

    text: str
    cells: int


def page(verdict: Verdict, folder: str) -> str:
    """The whole verdict. `folder` is where the run lies, for the commands that show more of it."""
    matrix = _matrix(verdict.cells)
    views = _views(verdict.views)
    parts = [_heading(verdict), matrix if _size(matrix) <= MATRIX_LIMIT else _TOO_WIDE]
    views = views if _size(views) <= VIEWS_LIMIT else f"{_VIEWS}\n\nToo long for this page; `verdict.json` has it."
    room = LIMIT - CLOSING - _size(*parts, views)
    shown, left_out = _fitting(list(_sections(verdict, folder)), room)
    more = f"{words.more_cells(left_out)} would not fit on this page: {code(f'lockstep report {_at(folder)}')}"
    parts += [*shown, *([more] if left_out else []), views]
    return "\n\n".join(filter(None, parts)) + "\n"


_TOO_WIDE = "The table of all cells does not fit on this page."
_VIEWS = "## Frameworks against each other"


def _at(folder: str) -> str:
    return words.quoted(printable.line(folder, 500))


def _fitting(sections: Sequence[Section], room: int) -> tuple[list[str], int]:
    """As many as fit, in their order; and how many cells the others are of."""
    shown, left_out = [], 0
    for section in sections:
        size = _size(section.text)
        if size <= room:
            shown.append(section.text)
            room -= size
        else:
            left_out += section.cells
    return shown, left_out


def _size(*parts: str) -> int:
    """Bytes, with the empty line after each."""
    return sum(len(part.encode()) + 2 for part in parts)


def _heading(verdict: Verdict) -> str:
    told = ", ".join(f"{count} {words.WORDS[outcome]}" for outcome, count in words.counts(verdict).items())
    title = f"# Lockstep: {words.cells(len(verdict.cells))}{': ' if told else ''}{told}"
    missing = words.missing(verdict)
    return f"{title}\n\n**{words.sentence(missing)}**" if missing else title


# ---- the table of all cells


def _matrix(cells: Sequence[CellRecord]) -> str:
    if not cells:
        return ""
    releases = list(dict.fromkeys((c.framework, c.version) for c in cells))
    scenarios = list(dict.fromkeys(c.scenario for c in cells))
    counts: dict[tuple[str, str, str], Counter[Outcome]] = {}
    for cell in cells:
        counts.setdefault((cell.framework, cell.version, cell.scenario), Counter())[cell.verdict] += 1
    head = ["scenario", *(f"{escaped(f)} {escaped(v)}" for f, v in releases)]
    rows = [[escaped(s), *(_square(counts.get((f, v, s), Counter())) for f, v in releases)] for s in scenarios]
    return table(head, rows)


def _square(counts: Counter[Outcome]) -> str:
    several = counts.total() > 1
    told = [
        f"{sign} {counts[outcome]} {words.WORDS[outcome]}" if several else f"{sign} {words.WORDS[outcome]}"
        for outcome, sign in SIGNS.items()
        if counts[outcome]
    ]
    return " ".join(told) or "-"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The same of texts, of which Markdown reads nothing."""
    return table(list(map(escaped, head)), (list(map(escaped, row)) for row in rows))


def listed(heading: str, lines: Sequence[str]) -> str:
    """Texts as a list below a heading; nothing where there are none."""
    return "\n".join([f"## {heading}", "", *(f"- {escaped(line)}" for line in lines)]) if lines else ""


# ---- cells, those alike together


def _sections(verdict: Verdict, folder: str) -> Iterator[Section]:
    for cells in words.alike(words.of(verdict, "fail"), words.fail_key):
        yield _section("fail", cells, [*_lines(said.found(cells[0])), _commands(cells[0], folder)])
    for outcome in ("unknown", "accepted"):
        for cells in words.alike(words.of(verdict, outcome), words.reason_key):
            again = [_commands(cells[0], folder)] if outcome == "unknown" else []
            yield _section(outcome, cells, [escaped(words.in_short(cells[0]), linked=outcome == "accepted"), *again])
    if told := words.open_questions(verdict):
        lines = [f"- {escaped(line)}" for line in told]
        yield Section("\n".join(["## Open questions", "", *lines]), 0)
    if told := words.cannot(verdict):
        heading = f"## {SIGNS['unsupported']} {words.WORDS['unsupported']}: what releases cannot express"
        lines = [f"- {escaped(line)}" for line in told]
        yield Section("\n".join([heading, "", *lines]), len(words.of(verdict, "unsupported")))


def _section(outcome: Outcome, cells: Sequence[CellRecord], parts: Iterable[str]) -> Section:
    heading = f"## {SIGNS[outcome]} {words.WORDS[outcome]} {escaped(words.where(cells))}"
    return Section("\n\n".join(filter(None, [heading, *parts])), len(cells))


def _lines(told: Sequence[said.Line]) -> Iterator[str]:
    """Sentences as paragraphs, and under each what belongs to it as a list."""
    block: list[str] = []
    for line in told:
        if line.depth:
            block.append(f"- {escaped(line.text, line.linked)}")
        else:
            yield "\n".join(block)
            block = []
            shown = escaped(line.text, line.linked)
            yield f"**{shown}**" if line.strong and shown else shown
    yield "\n".join(block)


def _commands(cell: CellRecord, folder: str) -> str:
    commands = [f"lockstep explain {_at(folder)} {words.quoted(cell.name)}", *([cell.command] if cell.command else [])]
    return fenced("\n".join(map(printable.line, commands)), "sh")


# ---- frameworks against each other


def _views(views: Sequence[ViewRecord]) -> str:
    """As at a terminal: it is made of tables and short lines."""
    if not views:
        return ""
    drawn = StringIO()
    across.show(views, Console(file=drawn, width=WIDTH, highlight=False, markup=False))
    lines = [printable.printable(line).rstrip() for line in drawn.getvalue().splitlines()]
    text = "\n".join(lines[1:]).strip()  # the first is the heading
    return f"{_VIEWS}\n\n{fenced(text, 'text')}"


# ---- Markdown


_WORD = re.compile(r"[^\s`|]+")
_LIVE = re.compile(r"://|www\.|[#!$&%~]\d|GH-\d|(?!(?<=[A-Za-z0-9])@\d+(?:[^\w.-]|$))@", re.IGNORECASE)
"""What GitHub and GitLab make a link of, or call somebody by, without any brackets: an address, an issue's number, a
name. Not the seed of a scenario. A backslash does not keep them from it, for they look at the text that is shown; into
code they do not look."""
_AROUND = "()[]{}<>,.;:\"'?!*"
"""Signs around such a word that are not of it."""
_SIGNS = re.compile(r"[\\`*{}\[\]<|~&#$!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_FIRST = re.compile(r"[-+=:>/]|\d+(?=[.)](?:\s|$))")
"""What would begin a list, a heading's underline or a table's, or one of GitLab's quick actions."""


def escaped(text: str, linked: bool = False) -> str:
    """A text in one line, of which Markdown reads nothing. It calls nobody, and refers to nothing: a word that would
    is code. `linked`: but for addresses, where they are ours and not of what a framework wrote."""
    shown = printable.line(text)
    parts, at = [], 0
    for word in _WORD.finditer(shown):
        parts += [_signs(shown[at : word.start()]), _word(word.group(), linked)]
        at = word.end()
    whole = "".join([*parts, _signs(shown[at:])])
    return _FIRST.sub(_begin, whole, count=1) if _FIRST.match(whole) else whole


def _word(word: str, linked: bool) -> str:
    link = words.ADDRESS.search(word) if linked else None
    if link:
        return f"{_dead(word[: link.start()])}<{link.group()}>{_dead(word[link.end() :])}"
    return _dead(word)


def _dead(word: str) -> str:
    if not _LIVE.search(word):
        return _signs(word)
    core = word.strip(_AROUND)
    before, _, after = word.partition(core)
    return f"{_signs(before)}{code(core)}{_signs(after)}"


def _signs(text: str) -> str:
    return _SIGNS.sub(r"\\\g<0>", text)


def _begin(found: re.Match[str]) -> str:
    sign = found.group()
    return f"{sign}\\" if sign.isdigit() else f"\\{sign}"


def is_address(text: str) -> bool:
    """Whether it is one that a link can lead to, and nothing else."""
    return words.ADDRESS.fullmatch(text) is not None


def code(text: str) -> str:
    """A printable text of one line as code, whatever backticks it has."""
    fence = "`" * (1 + _ticks(text))
    return f"{fence} {text} {fence}" if "`" in text else f"`{text or ' '}`"


def fenced(text: str, language: str) -> str:
    """Printable lines as a block that none of them ends."""
    fence = "`" * max(3, 1 + _ticks(text))
    return f"{fence}{language}\n{text}\n{fence}"


def _ticks(text: str) -> int:
    """Most backticks in a row."""
    return max(map(len, re.findall("`+", text)), default=0)
