"""Text that means harm, in every field that comes from elsewhere, through every face of Lockstep.

`EVIL` holds sequences for terminals, changes of direction, names, issues, addresses, Markdown, HTML and workflow
commands. No terminal, page, ticket or job's log may hold any of it raw.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from harness import cli
from harness.bisection import record as bisections
from harness.detection import record as detections
from harness.nightly import outbox
from harness.nightly.record import Night
from harness.nightly.tickets import Ticket
from harness.stock.record import FrameworkRecord, OutcomeRecord, ReleaseRecord, Stock
from reports import detection as detection_page
from reports import stock as stock_page
from reports.bisection import markdown as bisection_page
from reports.bisection import terminal as bisection_terminal
from reports.nightly import markdown as night_page
from reports.nightly import terminal as night_terminal
from tests.harmless import EVIL, SEQUENCE, hidden, hidden_at_a_terminal, live
from tests.harness import breaking
from tests.harness.commands import made
from tests.reports.bisection import made as bisections_made
from tests.reports.html.text import shown_by
from tests.reports.nightly import made as nights_made

TEXTS = {
    "all": EVIL,
    "in a file": EVIL.replace("\x00", ""),
    "a command": "::error title=x::y",
    "a name": "@octocat",
    "half a character": f"\ud800 \udce9 {SEQUENCE}",
    "nothing": "",
    "a NUL": "\x00",
}


@pytest.fixture(params=TEXTS.values(), ids=list(TEXTS))
def evil(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def said(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """All that a command prints on either stream. It ends as a command does."""
    status = cli.call(arguments)
    told = "".join(capfd.readouterr())
    assert status in (0, 1, 2, 3)
    assert "a fault of Lockstep itself" not in told
    return told


@pytest.fixture
def run(tmp_path: Path, evil: str) -> Path:
    return made.run(tmp_path / "run", evil)


# ---- at a terminal, and where none is


TOLD_OF_A_RUN = (
    ("judge", "run"),
    ("explain", "run"),
    ("explain", "run", "no such cell"),
    ("explain", "run", "="),
    ("report", "run", "--format", "terminal"),
    ("report", "run", "--format", "terminal", "--out", "-"),
)


@pytest.mark.parametrize("arguments", TOLD_OF_A_RUN, ids=" ".join)
@pytest.mark.parametrize("colours", [False, True])
def test_a_run(
    run: Path,
    arguments: Sequence[str],
    colours: bool,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(run.parent)
    if colours:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm-256color")
    assert not hidden_at_a_terminal(said(capfd, *arguments))


@pytest.mark.parametrize("arguments", [("judge", "run", "--json"), ("history", "--json")], ids=" ".join)
def test_json_holds_the_same_and_shows_nothing(
    run: Path,
    evil: str,
    arguments: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(run.parent)
    monkeypatch.setenv("LOCKSTEP_HISTORY", str(made.history(run.parent / "history.sqlite", evil)))
    told = said(capfd, *arguments)
    assert not [sign for sign in hidden(told) if sign.startswith("U+")]
    found = json.loads(told)
    cells = found["cells"] if isinstance(found, dict) else found
    assert cells[0]["framework"] == made.whole(evil)


def test_what_was_measured(
    tmp_path: Path, evil: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCKSTEP_HISTORY", str(made.history(tmp_path / "history.sqlite", evil)))
    told = said(capfd, "history")
    assert not hidden(told)
    assert len(told.splitlines()) == 11
    assert not hidden(shown_by(said(capfd, "history", "--html", "-")))


def test_names_on_the_command_line(evil: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    word = evil.replace("\x00", "")
    lines = (
        ("run", "--framework", word),
        ("run", "--scenario", word),
        ("run", "--fault", word),
        ("run", "--patch", word, "--framework", "torch"),
        ("judge", word or "missing"),
        ("compare", word, word),
        (word,),
        ("list", word),
        ("env", "prune", word, "--envs", str(tmp_path)),
        ("history", word),
    )
    if word:  # else it is the end of the options, and everything is run
        lines = (*lines, ("run", f"--{word}"))
    for line in lines:
        assert not hidden(said(capfd, *line)), line


def test_environments(tmp_path: Path, evil: str, capfd: pytest.CaptureFixture[str]) -> None:
    name = re.sub("[/\x00]", "", evil)[:40].encode(errors="replace").decode()
    (tmp_path / (name or "x")).mkdir()
    (tmp_path / "[red]bold[link=x]").mkdir()
    for verb in ("list", "prune --all"):
        told = said(capfd, "env", *verb.split(), "--envs", str(tmp_path))
        assert not hidden(told)
        assert "[red]bold[link=x]" in told.replace("\n", "") or not told


# ---- traces


HEADERS: dict[str, Any] = {
    "shims": lambda text: [{"name": text, "reason": text}],
    "packages": lambda text: {text: text},
    "hardware": lambda text: {text: text, "nested": {text: [text]}},
    "argv": lambda text: [text, text],
    **{name: lambda text: text for name in ("framework", "version", "adapter", "fault", "python", "started")},
}


def hostile_header(trace: Path, text: str) -> None:
    breaking.header(trace, lambda head: head.update({name: make(text) for name, make in HEADERS.items()}))


@pytest.mark.parametrize("command", [("explain",), ("judge",), ("judge", "--json"), ("compare",)], ids=" ".join)
@pytest.mark.parametrize("crashed", [False, True], ids=["whole", "crashed"])
def test_a_trace(
    trace: Path, evil: str, command: Sequence[str], crashed: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    hostile_header(trace, evil)
    (trace / "log-r00.txt").write_text(f"{evil}\n" * 3, errors="replace")
    if crashed:
        (trace / "end.json").unlink()
    else:
        breaking.reseal(trace)
    folders = [str(trace)] * (2 if command[0] == "compare" else 1)
    told = said(capfd, *command, *folders)
    assert not [sign for sign in hidden(told) if "--json" not in command or sign.startswith("U+")]


def test_three_traces_against_each_other(
    trace: Path, evil: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hostile_header(trace, evil)
    others = [shutil.copytree(trace, tmp_path / f"{i}") for i in range(2)]
    assert not hidden(said(capfd, "compare", str(trace), *map(str, others)))


# ---- pages and files


def test_markdown_of_a_run(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = said(capfd, "report", str(run), "--format", "markdown")
    assert not hidden(page)
    assert not live(page)


def test_junit_of_a_run(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    document = said(capfd, "report", str(run), "--format", "junit")
    assert not hidden(document)
    read = ET.fromstring(document)
    for element in read.iter():
        for text in (element.text or "", *element.attrib.values()):
            assert not hidden(text)


def test_annotations_of_a_run(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for line in said(capfd, "report", str(run), "--format", "github").splitlines():
        own = re.fullmatch(r"::(?:error|warning|notice) title=([^:,]*)::(.*)", line)
        assert own
        for data in own.groups():
            assert not hidden(data.replace("%0A", "\n").replace("%3A", ":").replace("%25", "%").replace("%2C", ","))


@pytest.mark.slow
def test_html_of_a_run(run: Path, trace: Path, evil: str, capfd: pytest.CaptureFixture[str]) -> None:
    """With a trace beside each cell, sealed and crashed."""
    hostile_header(trace, evil)
    (trace / "log-r00.txt").write_text(f"{evil}\n", errors="replace")
    found = json.loads((run / "verdict.json").read_text())
    for number, cell in enumerate(found["cells"]):
        cell["trace"] = f"cells/{number}"
        shutil.copytree(trace, run / "cells" / f"{number}")
    (run / "verdict.json").write_text(json.dumps(found))
    assert not hidden(said(capfd, "report", str(run)))
    pages = [*(run / "html").rglob("*.html")]
    assert len(pages) == 6
    for page in pages:
        text = shown_by(page.read_text(encoding="utf-8"))
        assert not hidden(text)
        links = re.findall(r'(?:href|src)="([^"]*)"', page.read_text(encoding="utf-8"))
        assert not [link for link in links if re.match("(?i)javascript|mailto|ftp|data:(?!,)", link)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tensorboard", "wandb"])
def test_trackers(
    run: Path, trace: Path, evil: str, kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = json.loads((run / "verdict.json").read_text())
    shutil.copytree(trace, run / "cells")
    found["cells"][0]["trace"] = "cells"
    (run / "verdict.json").write_text(json.dumps(found))
    assert not hidden(said(capfd, "report", str(run), "--format", kind, "--out", str(tmp_path / kind)))
    written = b"".join(path.read_bytes() for path in (tmp_path / kind).rglob("*") if path.is_file())
    assert written
    if len(evil) > 20:
        assert SEQUENCE.encode() not in written
    assert not [path for path in (tmp_path / kind).rglob("*") if hidden(path.name)]


# ---- bisections, nights, tickets, stock installs


def everywhere(value: Any, text: str, keep: frozenset[str] = frozenset()) -> Any:
    """The same with `text` put behind every text that is not one of a few words of ours."""
    if isinstance(value, dict):
        return {key: each if key in keep else everywhere(each, text, keep) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [everywhere(each, text, keep) for each in value]
    return f"{value} {text}" if isinstance(value, str) else value


OURS = frozenset(("verdict", "verdict_before", "verdict_after", "kind", "schema_", "state", "action", "pending"))


@pytest.mark.parametrize("kind", bisections_made.KINDS)
def test_a_bisection(kind: Any, evil: str) -> None:
    whole = kind().model_dump()
    hostile = everywhere({**whole, "kind": None}, evil, OURS) | {"kind": whole["kind"]}
    for point in (*hostile["measured"], *(b["alone"] for b in hostile["boundaries"] if b["alone"])):
        for diagnosis in point["diagnoses"]:
            diagnosis["kind"] += f" {evil}"
    bisection = bisections.Bisection.model_validate(hostile)
    for page in (bisection_page.page(bisection), bisection_page.issue(bisection)):
        assert not hidden(page)
        assert not live(page)
    assert not hidden(_drawn(lambda console: bisection_terminal.show(bisection, console)))


def _drawn(show: Any) -> str:
    from io import StringIO

    from harness.commands import output

    into = StringIO()
    show(output.console(file=into, width=100))
    return into.getvalue()


def test_nights_and_tickets(evil: str) -> None:
    for ticket in nights_made.tickets().values():
        hostile = Ticket.model_validate(everywhere(ticket.model_dump(), evil, OURS))
        page = night_page.ticket(hostile)
        assert not hidden(page)
        assert not live(page)
    for night in (nights_made.night(), nights_made.night(found=False)):
        whole = night.model_dump()
        hostile_night = Night.model_validate(everywhere(whole, evil, OURS | {"name", "plan"}))
        page = night_page.night(hostile_night, nights_made.before())
        assert not hidden(page)
        assert not live(page)
        assert not hidden(_drawn(lambda console, it=hostile_night: night_terminal.show(it, "here", console)))


def test_the_ticket_command_is_given_plain_words(evil: str, tmp_path: Path) -> None:
    ticket = next(iter(nights_made.tickets().values())).model_copy(
        update={"cause": made.whole(evil), "pending": "open"}
    )
    command = tmp_path / "command"
    command.write_text(
        f"""#!/bin/sh
printf %s "$LOCKSTEP_TICKET_TITLE" >{tmp_path}/title
printf 'gone \\033[2J' >&2
exit 1
"""
    )
    command.chmod(0o755)
    outbox.save([ticket], tmp_path, night_page.ticket)
    (problem,) = outbox.deliver({ticket.fingerprint: ticket}, (str(command),), tmp_path)
    assert not hidden((tmp_path / "title").read_text())
    assert not hidden(night_page.short(problem))


def test_detections(evil: str) -> None:
    found = detections.FoundRecord(scenario=evil, codes=(evil,), kinds=(evil,), named=False)
    outcomes = {
        "smoke": detections.OutcomeRecord(cells=2, tried=1, found=found),
        "lost": detections.OutcomeRecord(cells=2, tried=2, instead={evil: 1}, unknown=1, reason=evil),
        "none": detections.OutcomeRecord(cells=0, hidden={evil: 2}),
    }
    told = detections.Detection(
        lockstep="0",
        harness="0",
        sets={name: detections.SetRecord(cells=2, clean={"pass": 2}, chosen=(evil,)) for name in outcomes},
        faults=(detections.FaultRecord(name=evil, what=evil, cause=evil, outcomes=outcomes),),
        bugs=(
            detections.BugRecord(name=evil, what=evil, release=evil, kind=evil, outcomes=outcomes),
            detections.BugRecord(name=evil, what=evil, why=evil),
        ),
        clean=(detections.CleanRecord(release=evil, verdicts={"pass": 1}),),
    )
    page = detection_page.page(told)
    assert not hidden(page)
    assert set(live(page)) == {"scenarios.md", "faults.md", "findings.md"}


def test_stock_installs(evil: str) -> None:
    told = {evil: OutcomeRecord(verdict="fail", kinds=(evil,), reason=evil)}
    release = ReleaseRecord(
        version=evil,
        released="2025-01-01",
        days=1,
        covered=True,
        underneath={"transformers": evil},
        outcomes=told,
    )
    framework = FrameworkRecord(name=evil, before=0, releases=(release,))
    days = {"first": "2025-01-01", "last": "2025-01-02", "since": "2025-01-01"}
    page = stock_page.page(Stock(lockstep="0", scenarios=(evil,), frameworks=(framework,), **days))
    assert not hidden(page)
    assert not live(page)
